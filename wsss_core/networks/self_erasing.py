"""SeeNet's classifier: the first branch's attention is erased for the second branch.

Hou et al., "Self-Erasing Network for Integral Object Attention", NeurIPS 2018; layers as in SeeNet
``deploy_seenet.prototxt``, erasing as in ``crelu_layer.py``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.precision import single_precision

EPSILON = 1e-8
"""Prevents division by zero for a constant map; the authors' value."""
BRANCH_CHANNELS = 512
"""Channels between a branch's convolutions, as on the authors' VGG-16."""
DROPOUT = 0.5
"""Dropout before the first branch's last layer; the authors' second branch has none."""


def attention(maps: Tensor, labels: Tensor) -> Tensor:
    """The attention to an image's own classes.

    Args:
        maps: raw class maps (B, K, h, w).
        labels: (B, K), above 0 for the classes to include.

    Returns:
        (B, h, w): the maximum over those classes' rectified maps, each scaled to [0, 1] by its minimum and maximum; 0
        for an image without classes.
    """
    rectified = maps.relu()
    lowest, highest = rectified.amin(dim=(2, 3), keepdim=True), rectified.amax(dim=(2, 3), keepdim=True)
    scaled = (rectified - lowest) / (highest - lowest + EPSILON)
    return (scaled * (labels > 0)[:, :, None, None]).amax(dim=1)


class _SelfErasing(torch.autograd.Function):
    """Features times the ternary mask, with the gradient of the authors' layer."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return features * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        # The authors set the gradient of erased positions to 0 only in the first channel.
        leaking = torch.where(mask == 0, torch.ones_like(mask), mask)
        gradient = gradients[0] * leaking
        gradient[:, :1] = gradients[0][:, :1] * mask
        return gradient, None


def ternary_mask(seen: Tensor, high_threshold: float, low_threshold: float | None) -> Tensor:
    """T of the paper's equation 1.

    Args:
        seen: attention (B, h, w).
        high_threshold: values above it are erased (0).
        low_threshold: values below it are reversed (-1); None for no reversal.

    Returns:
        (B, 1, h, w): 0, -1, else 1.
    """
    mask = torch.ones_like(seen)
    if low_threshold is not None:
        mask[seen < low_threshold] = -1
    mask[seen > high_threshold] = 0
    return mask[:, None]


def conditionally_rectified(features: Tensor, mask: Tensor, gradient: str = "authors") -> Tensor:
    """C-ReLU of the paper's equation 2, for features that are already rectified.

    Args:
        features: (B, C, h, w).
        mask: from :func:`ternary_mask`, (B, 1, h, w).
        gradient: ``authors`` passes the gradient at erased positions in all channels but the first, as in their layer;
            ``exact`` is the gradient of the product.

    Returns:
        (B, C, h, w), the product.
    """
    return features * mask if gradient == "exact" else cast(Tensor, _SelfErasing.apply(features, mask))


class Branch(nn.Module):
    """Two 3x3 convolutions, and a 1x1 convolution to one map for each class."""

    def __init__(self, channels: int, width: int, classes: int, dropout: float) -> None:
        """Initialise the last layer with deviation 0.01, and the others by He's method.

        He's method helps networks without the authors' pretrained features.

        Args:
            channels: of the features.
            width: channels between the convolutions.
            classes: K.
            dropout: proportion of values dropped before the last layer in training.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(width, classes, 1)
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.score.weight, std=0.01)
        for layer in (self.conv1, self.conv2, self.score):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to class maps (B, K, h, w)."""
        features = functional.relu(self.conv1(features))
        return single_precision(self.score(self.dropout(functional.relu(self.conv2(features)))))


class BranchMaps(NamedTuple):
    """The branches' results for images."""

    first: Tensor
    """The first branch's raw class maps (B, K, h, w)."""
    second: Tensor
    """The second branch's raw class maps (B, K, h, w), from features with attention erased and background reversed."""
    seen: Tensor
    """The first branch's attention (B, h, w)."""


class SelfErasingClassifier(ClassMapClassifier):
    """A trunk and two branches. The first branch alone is a classifier with class maps."""

    architecture = "self_erasing"

    def __init__(self, trunk: Trunk, classes: Sequence[str], branch_channels: int = BRANCH_CHANNELS) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            trunk: the trunk's settings.
            classes: names of the K classes.
            branch_channels: channels between a branch's convolutions; at most the trunk's.
        """
        self._branch_channels = branch_channels
        super().__init__(trunk, classes)

    def add_layers(self, channels: int, classes: int) -> None:
        """Add the two branches."""
        width = min(channels, self._branch_channels)
        self.first = Branch(channels, width, classes, DROPOUT)
        self.second = Branch(channels, width, classes, 0.0)

    def options(self) -> dict[str, Any]:
        """The width of the branches."""
        return {"branch_channels": self._branch_channels}

    def features(self, images: Tensor) -> Tensor:
        """The trunk's last features (B, C, h, w) of images (B, 3, H, W), normalised."""
        return self.trunk(images)[-1]

    def branch_maps(
        self,
        features: Tensor,
        labels: Tensor,
        high_threshold: float,
        low_threshold: float | None,
        gradient: str = "authors",
    ) -> BranchMaps:
        """Class maps of both branches.

        Args:
            features: (B, C, h, w), from :meth:`features`.
            labels: (B, K), above 0 for the classes whose attention is erased.
            high_threshold: see :func:`ternary_mask`.
            low_threshold: see :func:`ternary_mask`.
            gradient: see :func:`conditionally_rectified`.
        """
        first = self.first(features)
        seen = attention(first.detach(), labels)
        mask = ternary_mask(seen, high_threshold, low_threshold)
        second = self.second(conditionally_rectified(features, mask, gradient))
        return BranchMaps(first, second, seen)

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps (B, K, h, w) of the first branch for images (B, 3, H, W)."""
        return self.first(self.features(images))

    def positive_weights(self, classes: Tensor) -> Tensor:
        """Numbers of features that support classes (K,) in the first branch."""
        return (self.first.score.weight[classes] > 0).sum(dim=(1, 2, 3))
