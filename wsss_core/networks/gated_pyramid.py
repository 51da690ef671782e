"""AEFT's classifier: class maps pooled on a pyramid of grids, and fused from coarse to fine by gates.

Yoon et al., "Adversarial Erasing Framework via Triplet with Gated Pyramid Pooling Layer for Weakly
Supervised Semantic Segmentation", ECCV 2022; layers as in AEFT ``networks/resnet38d.py`` (``Net_gpp``).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.precision import single_precision
from wsss_core.networks.resizing import pooled_to_grid, resized


class Gate(nn.Module):
    """Fuses two maps of all classes, with separate gates for positive and negative parts."""

    def __init__(self, classes: int) -> None:
        """Build the gates with random weights from torch's global generator."""
        super().__init__()
        self.positive = nn.Conv2d(2 * classes, 2, 3, padding=1, bias=False)
        self.negative = nn.Conv2d(2 * classes, 2, 3, padding=1, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The gated mean (B, K, h, w) of two maps of this shape; all classes share a gate's values."""
        fused = []
        for gate, sign in ((self.positive, 1), (self.negative, -1)):
            one, other = functional.relu(sign * first), functional.relu(sign * second)
            shares = torch.sigmoid(gate(torch.cat([one, other], dim=1)))  # (B, 2, h, w)
            fused.append((one * shares[:, :1] + other * shares[:, 1:]) / 2)
        return fused[0] - fused[1]


class PyramidPooling(nn.Module):
    """Averages class maps over several grids, and fuses the averages."""

    def __init__(self, classes: int, bins: Sequence[int], fusion: str, order: str) -> None:
        """Build the gates, if any.

        Args:
            classes: K.
            bins: cells of the grids in both directions, increasing; without any, the maps do not change.
            fusion: ``gated``, ``ungated`` or ``average``.
            order: ``coarse_to_fine`` or ``fine_to_coarse``.
        """
        super().__init__()
        self.bins = tuple(bins) if order == "coarse_to_fine" else tuple(reversed(bins))
        self.fusion = fusion
        gates = len(self.bins) - 1 if fusion == "gated" else 0
        self.gates = nn.ModuleList(Gate(classes) for _ in range(gates))

    def forward(self, maps: Tensor) -> Tensor:
        """The pooled class maps, from class maps (B, K, h, w), any sign; the same shape."""
        if not self.bins:
            return maps
        pooled = [resized(pooled_to_grid(maps, cells), maps.shape[2:]) for cells in self.bins]
        if self.fusion == "average":
            return torch.stack(pooled).mean(dim=0)
        fused = pooled[0]
        for position, finer in enumerate(pooled[1:]):
            fused = self.gates[position](fused, finer) if self.fusion == "gated" else (fused + finer) / 2
        return fused


class Pooled(NamedTuple):
    """The classifier's results for images."""

    maps: Tensor
    """Raw class maps (B, K, h, w)."""
    pooled: Tensor
    """The pyramid's class maps (B, K, h, w)."""
    logits: Tensor
    """(B, K)."""


class GatedPyramidClassifier(ClassMapClassifier):
    """A trunk, a reduction, class maps, and logits in which pooled maps weight the maps.

    Attributes:
        pooling: the pyramid.
    """

    architecture = "gated_pyramid"

    def __init__(
        self,
        trunk: Trunk,
        classes: Sequence[str],
        feature_channels: int = 256,
        bins: Sequence[int] = (2, 4, 8, 16),
        fusion: str = "gated",
        order: str = "coarse_to_fine",
    ) -> None:
        """Build the network with random weights; see ``AeftClassifier`` for the arguments."""
        self._options = {"feature_channels": feature_channels, "bins": list(bins), "fusion": fusion, "order": order}
        super().__init__(trunk, classes)

    def add_layers(self, channels: int, classes: int) -> None:
        """Add the reduction, the layer for class maps and the pyramid."""
        features, bins, fusion, order = self._options.values()
        self.reduction = nn.Conv2d(channels, features, 1, bias=False)  # type: ignore[arg-type]
        self.head = nn.Conv2d(features, classes, 1, bias=False)  # type: ignore[arg-type]
        nn.init.xavier_uniform_(self.reduction.weight)
        nn.init.xavier_uniform_(self.head.weight)
        self.pooling = PyramidPooling(classes, bins, fusion, order)  # type: ignore[arg-type]

    def options(self) -> dict[str, Any]:
        """The settings of the pyramid."""
        return dict(self._options)

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps (B, K, h, w) of images (B, 3, H, W)."""
        return single_precision(self.head(functional.relu(self.reduction(self.trunk(images)[-1]))))

    def pool(self, images: Tensor) -> Pooled:
        """Class maps of images (B, 3, H, W), their pooled form, and the logits."""
        maps = self.class_maps(images)
        pooled = self.pooling(maps)
        return Pooled(maps, pooled, self._logits(maps, pooled))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): the evidence for a class minus the evidence against it."""
        return self.pool(images).logits

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Rectified class maps (B, K, h, w), and the positive parts of the logits as scores to raise or lower."""
        maps, pooled, _ = self.pool(images)
        rectified = maps.relu()
        if not self.pooling.bins:
            return rectified, rectified.mean(dim=(2, 3))
        return rectified, (rectified * pooled.relu()).mean(dim=(2, 3))

    def _logits(self, maps: Tensor, pooled: Tensor) -> Tensor:
        if not self.pooling.bins:
            return maps.mean(dim=(2, 3))
        speaking_for = functional.relu(maps) * functional.relu(pooled)
        speaking_against = functional.relu(-maps) * functional.relu(-pooled)
        return speaking_for.mean(dim=(2, 3)) - speaking_against.mean(dim=(2, 3))
