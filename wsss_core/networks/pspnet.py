"""PSPNet's pyramid pooling with an upsampling decoder, as in cross-consistency training.

Pyramid pooling: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2. Decoder: Ouali et al.,
"Semi-Supervised Semantic Segmentation with Cross-Consistency Training", CVPR 2020; layers, channels and
initialisation as in CCT ``models/encoder.py`` and ``models/decoders.py``. Sub-pixel convolutions are those of Shi et
al. (CVPR 2016), initialised as proposed by Aitken et al. (2017, ICNR).
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
    """Features and their averages over coarse grids, joined by a 3x3 convolution.

    Attributes:
        channels: number of channels of each grid's features and of the output, C / bins.
    """

    def __init__(self, channels: int, bins: Sequence[int]) -> None:
        """Build the layers with torch's own random weights, as in CCT.

        Args:
            channels: C of the features.
            bins: cells of each grid, in both directions.
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
    """Means over a grid, as in torch's adaptive average pooling.

    Computed by two products of matrices: ONNX has no adaptive pooling for sizes that are only known at run time, and
    the gradient on GPUs is deterministic.

    Args:
        features: (B, C, h, w), h and w 1 or more.
        cells: of the grid, in both directions; may be more than h or w.

    Returns:
        (B, C, cells, cells).
    """
    rows, columns = (_places_of_cells(features.shape[side], cells, features) for side in (2, 3))
    sums = torch.matmul(torch.matmul(rows, features), columns.transpose(0, 1))
    # Divided afterwards: in bfloat16, a cell's weights would not sum to 1.
    return sums / (rows.sum(dim=1)[:, None] * columns.sum(dim=1))


def _places_of_cells(length: int, cells: int, like: Tensor) -> Tensor:
    """The positions in each cell: (cells, length), 1 or 0, with the dtype and device of ``like``."""
    places = torch.arange(length, device=like.device)
    numbers = torch.arange(cells, device=like.device)[:, None]
    # Cell i has the positions from floor(i length / cells) up to, but without, ceil((i + 1) length / cells).
    inside = ((places + 1) * cells > numbers * length) & (places * cells < (numbers + 1) * length)
    return inside.to(like.dtype)


class UpsamplingDecoder(nn.Sequential):
    """A 1x1 convolution to the classes, and sub-pixel convolutions that double the size."""

    def __init__(self, channels: int, classes: int, doublings: int) -> None:
        """Build the layers with random weights.

        Args:
            channels: C of the features.
            classes: K + 1, including the background.
            doublings: how many times the size is doubled.
        """
        scores = nn.Conv2d(channels, classes, 1, bias=False)
        nn.init.kaiming_normal_(scores.weight, nonlinearity="relu")
        super().__init__(scores, *(SubPixelDoubling(classes) for _ in range(doublings)))


class SubPixelDoubling(nn.Module):
    """A 1x1 convolution, ReLU, and four channels of each position as four positions of one channel.

    The ReLU is after the convolution as in CCT, so scores are 0 or more.
    """

    def __init__(self, channels: int) -> None:
        """Initialise the four positions of a channel with the same weights, to avoid a chequered pattern (ICNR).

        Args:
            channels: of the features and of the output.
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
        # As torch's pixel_shuffle, whose gradient fails for a batch without images.
        return four.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, 2 * height, 2 * width)


class PspNetwork(SegmentationNetwork):
    """Trunk, pyramid pooling, and a decoder up to about the image's size.

    Auxiliary decoders for cross-consistency training get the pyramid's features, and are built like the main one.
    """

    least_images: ClassVar[int] = 2
    """For one image, the grid of one cell has a single value for each channel, which cannot be normalised."""
    auxiliary_at_features: ClassVar[bool] = False

    def __init__(self, trunk: TrunkNetwork, classes: Sequence[str], bins: Sequence[int]) -> None:
        """Add randomly initialised layers to ``trunk``.

        Args:
            trunk: the trunk; the decoder enlarges by its last stride, or the next lower power of two.
            classes: names of the object classes, without the background.
            bins: cells of the pyramid's grids, in both directions.
        """
        super().__init__(trunk, classes)
        self.pyramid = PyramidPooling(trunk.channels[-1], bins)
        self.decoder = self.auxiliary_decoder()

    def encode(self, images: Tensor) -> list[Tensor]:
        """The trunk's feature maps, with the pyramid's (B, C', h, w) instead of the last."""
        *finer, last = self.trunk(images)
        return [*finer, self.pyramid(last)]

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, n h, n w), 0 or more; n h is H, rounded up to a multiple of the trunk's stride."""
        return self.decoder(maps[-1])

    def all_logits(self, images: Tensor, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Scores (B, K + 1, H, W), cut at the image's right and lower edge.

        CCT pads images to a multiple of 8 and cuts the output.
        """
        (logits,) = super().all_logits(images, maps)
        return [logits[:, :, : images.shape[2], : images.shape[3]]]

    def auxiliary_decoder(self) -> nn.Module:
        """A decoder like the main one, with random weights."""
        doublings = self.trunk.strides[-1].bit_length() - 1
        return UpsamplingDecoder(self.pyramid.channels, len(self.classes), doublings)
