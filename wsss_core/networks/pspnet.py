"""PSPNet's pyramid pooling with a decoder that upsamples, as cross-consistency training has it.

Pyramid pooling: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2. Decoder: Ouali et al.,
"Semi-Supervised Semantic Segmentation with Cross-Consistency Training", CVPR 2020; layers, channels and
initialisation as in CCT ``models/encoder.py`` and ``models/decoders.py``. Sub-pixel convolutions are those of Shi et
al. (CVPR 2016), started as Aitken et al. propose (2017, ICNR).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation

from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.trunks import TrunkNetwork


class PyramidPooling(nn.Module):
    """Features, and beside them their averages over coarse grids, joined by a 3x3 convolution.

    Attributes:
        channels: C / bins of each grid's features, and of what comes out.
    """

    def __init__(self, channels: int, bins: Sequence[int]) -> None:
        """Build the layers with torch's own random weights, as CCT does.

        Args:
            channels: C of the features.
            bins: cells of each grid, each way.
        """
        super().__init__()
        self.bins = tuple(bins)
        self.channels = max(1, channels // len(self.bins))
        self.stages = nn.ModuleList(Conv2dNormActivation(channels, self.channels, kernel_size=1) for _ in self.bins)
        self.bottleneck = Conv2dNormActivation(channels + self.channels * len(self.bins), self.channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, ``channels``, h, w)."""
        pooled = [
            functional.interpolate(
                stage(averaged(features, cells)), size=features.shape[2:], mode="bilinear", align_corners=False
            )
            for cells, stage in zip(self.bins, self.stages, strict=True)
        ]
        return self.bottleneck(torch.cat([features, *pooled], dim=1))


def averaged(features: Tensor, cells: int) -> Tensor:
    """Means over a grid, as torch's adaptive average pooling has them.

    Two products of matrices: ONNX has no adaptive pooling for sizes that are known at run time only, and the gradient
    on GPUs is the same every time.

    Args:
        features: (B, C, h, w), h and w 1 or more.
        cells: of the grid, each way; may be more than h or w.

    Returns:
        (B, C, cells, cells).
    """
    rows, columns = (_places_of_cells(features.shape[side], cells, features) for side in (2, 3))
    sums = torch.matmul(torch.matmul(rows, features), columns.transpose(0, 1))
    # Divided afterwards: in bfloat16, shares of a cell would not sum to 1.
    return sums / (rows.sum(dim=1)[:, None] * columns.sum(dim=1))


def _places_of_cells(length: int, cells: int, like: Tensor) -> Tensor:
    """Which places each cell has: (cells, length), 1 or 0, of the dtype and on the device of ``like``."""
    places = torch.arange(length, device=like.device)
    numbers = torch.arange(cells, device=like.device)[:, None]
    # Cell i has the places from floor(i length / cells) to before ceil((i + 1) length / cells).
    inside = ((places + 1) * cells > numbers * length) & (places * cells < (numbers + 1) * length)
    return inside.to(like.dtype)


class UpsamplingDecoder(nn.Sequential):
    """A 1x1 convolution to the classes, and sub-pixel convolutions that double the size."""

    def __init__(self, channels: int, classes: int, doublings: int) -> None:
        """Build the layers with random weights.

        Args:
            channels: C of the features.
            classes: K + 1, the background among them.
            doublings: how many times the size doubles.
        """
        scores = nn.Conv2d(channels, classes, 1, bias=False)
        nn.init.kaiming_normal_(scores.weight, nonlinearity="relu")
        super().__init__(scores, *(SubPixelDoubling(classes) for _ in range(doublings)))


class SubPixelDoubling(nn.Module):
    """A 1x1 convolution, ReLU, and four channels of each place as the four places of one channel.

    The ReLU stands behind the convolution as in CCT, so scores are 0 or more.
    """

    def __init__(self, channels: int) -> None:
        """Start the four places of a channel with the same weights, without a chequered pattern (ICNR).

        Args:
            channels: of the features and of what comes out.
        """
        super().__init__()
        self.convolution = nn.Conv2d(channels, 4 * channels, 1)
        weight = torch.empty(channels, channels, 1, 1)
        nn.init.kaiming_normal_(weight)
        with torch.no_grad():
            self.convolution.weight.copy_(weight.repeat_interleave(4, dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, 2 h, 2 w)."""
        batch, channels, height, width = features.shape
        four = functional.relu(self.convolution(features)).reshape(batch, channels, 2, 2, height, width)
        # As torch's pixel_shuffle, whose gradient refuses a batch of no images.
        return four.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, 2 * height, 2 * width)


class PspNetwork(SegmentationNetwork):
    """Trunk, pyramid pooling, and a decoder up to about the image's size.

    Auxiliary decoders of cross-consistency training see what the pyramid makes, and are built as the main one.
    """

    least_images: ClassVar[int] = 2
    """Of one image, the grid of one cell has a single value a channel, which cannot be normalised."""
    auxiliary_at_features: ClassVar[bool] = False

    def __init__(self, trunk: TrunkNetwork, classes: Sequence[str], bins: Sequence[int]) -> None:
        """Put randomly initialised layers on ``trunk``.

        Args:
            trunk: the trunk; its last stride, or the next lower power of two, is how much the decoder enlarges.
            classes: names of the object classes, without the background.
            bins: cells of the pyramid's grids, each way.
        """
        super().__init__(trunk, classes)
        self.pyramid = PyramidPooling(trunk.channels[-1], bins)
        self.decoder = self.auxiliary_decoder()

    def encode(self, images: Tensor) -> list[Tensor]:
        """The trunk's feature maps, with the pyramid's (B, C', h, w) in place of the last."""
        *finer, last = self.trunk(images)
        return [*finer, self.pyramid(last)]

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, n h, n w), 0 or more; n h is H, rounded up to a multiple of the trunk's stride."""
        return self.decoder(maps[-1])

    def all_logits(self, images: Tensor, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Scores (B, K + 1, H, W), without what lies beyond the image's right and lower edge.

        CCT pads images to a multiple of 8 and cuts what comes out.
        """
        (logits,) = super().all_logits(images, maps)
        return [logits[:, :, : images.shape[2], : images.shape[3]]]

    def auxiliary_decoder(self) -> nn.Module:
        """A decoder like the main one, with random weights."""
        doublings = self.trunk.strides[-1].bit_length() - 1
        return UpsamplingDecoder(self.pyramid.channels, len(self.classes), doublings)
