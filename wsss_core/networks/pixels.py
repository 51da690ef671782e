"""Converts this workflow's pixels for networks that were pretrained in Caffe."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION

DEEPLAB_MEANS = (104.008, 116.669, 122.675)
"""Means of COCO's and ImageNet's pixels in deeplab-pytorch: blue, green, red, on the 0..255 scale."""
VGG16_MEANS = (104.007, 116.669, 122.679)
"""The same in SeeNet's VGG-16."""


class CaffePixels(nn.Module):
    """Converts normalised RGB images to BGR on the 0..255 scale, minus their mean, as for weights from Caffe.

    The conversion is part of the network, so that images are read in the same way for all networks. It has no weights
    and adds nothing to a state dict.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, means: Sequence[float] = DEEPLAB_MEANS) -> None:
        """Combine both scales into one factor and one offset for each channel.

        Args:
            means: of blue, green and red, in this order, on the 0..255 scale.

        Raises:
            ValueError: there are not three ``means``.
        """
        super().__init__()
        if len(means) != 3:
            raise ValueError(f"three means are needed, of blue, green and red, not {len(means)}")
        triples = list(zip(means, MEAN[::-1], STANDARD_DEVIATION[::-1], strict=True))
        offset = [255 * own_mean - mean for mean, own_mean, _ in triples]
        self.register_buffer("scale", _per_channel([255 * deviation for _, _, deviation in triples]), persistent=False)
        self.register_buffer("offset", _per_channel(offset), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Convert images.

        Args:
            images: (B, 3, H, W) float RGB, (value / 255 - mean) / deviation, as from
                :func:`wsss_core.datasets.transforms.normalise`.

        Returns:
            (B, 3, H, W), blue first: value - mean from ``means``, values about -123 to 151.
        """
        return images.flip(1) * self.scale + self.offset


def _per_channel(values: Sequence[float]) -> Tensor:
    """(1, 3, 1, 1) float32."""
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
