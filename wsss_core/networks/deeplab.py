"""DeepLab: atrous spatial pyramid pooling on a residual trunk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLab
from wsss_core.networks.trunks import TrunkNetwork, build_trunk
from wsss_core.networks.weights import load_network, save_weights

KIND = "segmenter"
"""What a file's description calls this network."""
SKIP_CHANNELS = 48
"""Channels that the low-level features are reduced to, as in DeepLabV3+."""
DECODER_CHANNELS = 96
LOW_LEVEL_STRIDE = 4
"""The skip starts at the deepest features of this stride: layer1's, or layer2's in resnet_small."""


class AtrousPyramid(nn.Module):
    """Sum of parallel 3x3 convolutions of different dilation (DeepLab v2, Chen et al. 2018, section 3.2)."""

    def __init__(self, channels: int, outputs: int, rates: Sequence[int]) -> None:
        """Initialise weights with a deviation of 0.01 and biases with 0, as DeepLab v2."""
        super().__init__()
        branches = [nn.Conv2d(channels, outputs, 3, padding=rate, dilation=rate) for rate in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)
            assert branch.bias is not None
            nn.init.zeros_(branch.bias)
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, outputs, h, w)."""
        return torch.stack([branch(features) for branch in self.branches]).sum(dim=0)


class DeepLabNetwork(nn.Module):
    """Trunk, atrous pyramid, and, on demand, a decoder that joins low-level features.

    Attributes:
        classes: names of the classes, ``background`` first.
    """

    def __init__(self, trunk: TrunkNetwork, classes: Sequence[str], rates: Sequence[int], low_level_skip: bool) -> None:
        """Put randomly initialised layers on ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            rates: dilations of the pyramid.
            low_level_skip: join features at a quarter of the image's size; else none.
        """
        super().__init__()
        self.classes = ("background", *classes)
        self.trunk = trunk
        self._low_level = max(i for i, stride in enumerate(trunk.strides) if stride <= LOW_LEVEL_STRIDE)
        if low_level_skip:
            self.pyramid = AtrousPyramid(trunk.channels[-1], DECODER_CHANNELS, rates)
            self.skip: nn.Module | None = _convolution(trunk.channels[self._low_level], SKIP_CHANNELS, 1)
            self.decoder: nn.Module = nn.Sequential(
                _convolution(DECODER_CHANNELS + SKIP_CHANNELS, DECODER_CHANNELS, 3),
                nn.Conv2d(DECODER_CHANNELS, len(self.classes), 1),
            )
        else:
            self.pyramid = AtrousPyramid(trunk.channels[-1], len(self.classes), rates)
            self.skip, self.decoder = None, nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Class scores on the network's own grid.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Logits (B, K + 1, h, w): at the trunk's stride, or at a quarter of the image's size with
            the skip.
        """
        maps = self.trunk(images)
        features = self.pyramid(maps[-1])
        if self.skip is not None:
            low_level = maps[self._low_level]
            features = functional.interpolate(
                functional.relu(features), size=low_level.shape[2:], mode="bilinear", align_corners=False
            )
            features = torch.cat([features, self.skip(low_level)], dim=1)
        return self.decoder(features)

    def new_layers(self) -> list[nn.Parameter]:
        """The parameters beyond the trunk's."""
        parts = [self.pyramid, self.decoder, *([self.skip] if self.skip is not None else [])]
        return [parameter for part in parts for parameter in part.parameters()]


def _convolution(channels: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, outputs, size, padding=size // 2, bias=False),
        nn.GroupNorm(8, outputs),  # needs no batch: segmenters train on few images at a time
        nn.ReLU(inplace=True),
    )


def build_deeplab(parameters: DeepLab, trunk: Trunk, classes: Sequence[str]) -> DeepLabNetwork:
    """The segmenter that the settings describe, with random weights."""
    return DeepLabNetwork(build_trunk(trunk), classes, parameters.atrous_rates, parameters.low_level_skip)


def save_deeplab(path: Path | str, network: DeepLabNetwork, parameters: DeepLab, trunk: Trunk) -> None:
    """Write a segmenter's weights; :func:`load_deeplab` needs nothing else."""
    description = {
        "kind": KIND,
        "trunk": trunk.model_dump(mode="json"),
        "classes": network.classes[1:],
        "atrous_rates": parameters.atrous_rates,
        "low_level_skip": parameters.low_level_skip,
    }
    save_weights(path, network, description)


def load_deeplab(path: Path | str, device: torch.device | str = "cpu") -> DeepLabNetwork:
    """Read a segmenter for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is broken, is no segmenter's, or its weights do not fit.
    """

    def build(saved: dict[str, Any]) -> DeepLabNetwork:
        trunk = build_trunk(Trunk(**saved["trunk"]))
        return DeepLabNetwork(trunk, saved["classes"], saved["atrous_rates"], saved["low_level_skip"])

    return load_network(path, KIND, build, device)
