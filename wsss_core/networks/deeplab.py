"""A small DeepLab (atrous spatial pyramid pooling on a trunk), and the interface of all segmenters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.resizing import resized
from wsss_core.networks.trunks import TrunkNetwork
from wsss_core.networks.weights import trainable

SKIP_CHANNELS = 48
"""Channels of the reduced low-level features, as in DeepLabV3+."""
DECODER_CHANNELS = 96
LOW_LEVEL_STRIDE = 4
"""The skip uses the deepest features with this stride: layer1's, or layer2's in resnet_small."""


class AtrousPyramid(nn.Module):
    """The sum of parallel 3x3 convolutions with different dilations (DeepLab v2, Chen et al. 2018, section 3.2)."""

    def __init__(self, channels: int, outputs: int, rates: Sequence[int]) -> None:
        """Initialise weights with deviation 0.01 and biases with 0, as in DeepLab v2."""
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


class SegmentationNetwork(nn.Module, ABC):
    """The interface of all segmenters: a trunk, with layers that score every class at every position.

    Attributes:
        trunk: the trunk.
        classes: names of the classes, ``background`` first.
        description: the network's description in its file (:mod:`wsss_core.networks.segmenter_files`).
        least_images: the smallest batch for training.
        auxiliary_at_features: whether the scores of auxiliary decoders have the features' size; else the logits'.
    """

    description: dict[str, Any]
    least_images: ClassVar[int] = 1
    auxiliary_at_features: ClassVar[bool] = True

    def __init__(self, trunk: TrunkNetwork, classes: Sequence[str]) -> None:
        """Set the trunk and the classes; ``classes`` are the object classes, without the background."""
        super().__init__()
        self.classes = ("background", *classes)
        self.trunk = trunk

    def encode(self, images: Tensor) -> list[Tensor]:
        """The feature maps of images (B, 3, H, W), normalised, for decoders: by default, the trunk's.

        Auxiliary decoders get the last one, (B, C, h, w), perturbed.
        """
        return self.trunk(images)

    @abstractmethod
    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """The decoder's scores for feature maps.

        Args:
            maps: the result of :meth:`encode` for images (B, 3, H, W), normalised.

        Returns:
            Logits (B, K + 1, h, w), on the network's own grid.
        """

    def all_logits(self, images: Tensor, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The scores that training compares with the labels; the last ones are used for predictions.

        Args:
            images: (B, 3, H, W), normalised.
            maps: the result of :meth:`encode` for them; computed if not given.

        Returns:
            Logits, each (B, K + 1, h_i, w_i).
        """
        return [self.decode(self.encode(images) if maps is None else maps)]

    def auxiliary_decoder(self) -> nn.Module:
        """For cross-consistency training, a 1x1 convolution from features to class scores, with random weights."""
        return nn.Conv2d(self.trunk.channels[-1], len(self.classes), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K + 1, h, w), the last of :meth:`all_logits`, of images (B, 3, H, W), normalised."""
        return self.all_logits(images)[-1]

    def new_layers(self) -> list[nn.Parameter]:
        """The parameters outside the trunk."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("trunk.")]

    def parameter_groups(self, head_factor: float) -> list[ParameterGroup]:
        """The parameters to optimise: the trunk's, if not frozen, and the new layers', with factor ``head_factor``."""
        return [ParameterGroup(trainable(self.trunk), 1), ParameterGroup(self.new_layers(), head_factor)]


class DeepLabNetwork(SegmentationNetwork):
    """Trunk, atrous pyramid, and, optionally, a decoder with low-level features."""

    def __init__(
        self, trunk: TrunkNetwork, classes: Sequence[str], atrous_rates: Sequence[int], low_level_skip: bool
    ) -> None:
        """Add randomly initialised layers to ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            atrous_rates: dilations of the pyramid.
            low_level_skip: also use features at a quarter of the image's size.
        """
        super().__init__(trunk, classes)
        self._low_level = deepest_of_stride(trunk, LOW_LEVEL_STRIDE)
        if low_level_skip:
            self.pyramid = AtrousPyramid(trunk.channels[-1], DECODER_CHANNELS, atrous_rates)
            self.skip: nn.Module | None = _convolution(trunk.channels[self._low_level], SKIP_CHANNELS, 1)
            self.decoder: nn.Module = nn.Sequential(
                _convolution(DECODER_CHANNELS + SKIP_CHANNELS, DECODER_CHANNELS, 3),
                nn.Conv2d(DECODER_CHANNELS, len(self.classes), 1),
            )
        else:
            self.pyramid = AtrousPyramid(trunk.channels[-1], len(self.classes), atrous_rates)
            self.skip, self.decoder = None, nn.Identity()

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, h, w): at the trunk's stride, or at a quarter of the image's size with the skip."""
        features = self.pyramid(maps[-1])
        if self.skip is not None:
            low_level = maps[self._low_level]
            features = resized(functional.relu(features), low_level.shape[2:])
            features = torch.cat([features, self.skip(low_level)], dim=1)
        return self.decoder(features)


def deepest_of_stride(trunk: TrunkNetwork, stride: int) -> int:
    """The index of a trunk's deepest feature map with at most this stride; 0 if there is none."""
    return max((number for number, own in enumerate(trunk.strides) if own <= stride), default=0)


def _convolution(channels: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, outputs, size, padding=size // 2, bias=False),
        nn.GroupNorm(8, outputs),  # independent of the batch, which is small for segmenters
        nn.ReLU(inplace=True),
    )
