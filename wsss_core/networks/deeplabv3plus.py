"""DeepLabV3+: pyramid with image pooling, and a decoder.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018. The pyramid is that of torchvision's
DeepLabV3; the decoder's convolutions are not separable.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP
from torchvision.ops import Conv2dNormActivation

from wsss_core.networks.deeplab import LOW_LEVEL_STRIDE, SKIP_CHANNELS, SegmentationNetwork, deepest_of_stride
from wsss_core.networks.resizing import resized
from wsss_core.networks.trunks import TrunkNetwork

CHANNELS = 256
"""Channels of the pyramid's output and of the decoder."""


class DeepLabV3PlusNetwork(SegmentationNetwork):
    """Trunk, pyramid, and a decoder that also uses features at a quarter of the image's size."""

    least_images: ClassVar[int] = 2
    """The pooled features of one image are a single value for each channel, which cannot be normalised."""

    def __init__(
        self, trunk: TrunkNetwork, classes: Sequence[str], atrous_rates: Sequence[int], dropout: float
    ) -> None:
        """Add randomly initialised layers to ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            atrous_rates: dilations of the pyramid's 3x3 convolutions.
            dropout: proportion of values that the pyramid drops in training.
        """
        super().__init__(trunk, classes)
        self.pyramid = ASPP(trunk.channels[-1], list(atrous_rates), CHANNELS)
        for part in self.pyramid.modules():
            if isinstance(part, nn.Dropout):
                part.p = dropout
        self._low_level = deepest_of_stride(trunk, LOW_LEVEL_STRIDE)
        self.skip = Conv2dNormActivation(trunk.channels[self._low_level], SKIP_CHANNELS, kernel_size=1)
        self.decoder = nn.Sequential(
            Conv2dNormActivation(CHANNELS + SKIP_CHANNELS, CHANNELS),
            Conv2dNormActivation(CHANNELS, CHANNELS),
            nn.Conv2d(CHANNELS, len(self.classes), 1),
        )

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, h, w) at a quarter of the image's size (or the trunk's finest feature map's)."""
        low_level = maps[self._low_level]
        features = resized(self.pyramid(maps[-1]), low_level.shape[2:])
        return self.decoder(torch.cat([features, self.skip(low_level)], dim=1))
