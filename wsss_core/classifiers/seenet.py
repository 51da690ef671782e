"""SeeNet's objective: three classifications that share a trunk.

Hou et al., "Self-Erasing Network for Integral Object Attention", NeurIPS 2018. The authors released no training code:
the losses follow the paper (section 3.3), and the erasing follows their layer.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.classifiers.objective import Objective
from wsss_core.config.classifiers import Classifier, SeenetClassifier
from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier


class SeenetObjective(Objective, name="seenet"):
    """Multi-label losses of the image (S_A), of the self-erased image (S_B) and of only its background (S_C)."""

    @classmethod
    def build_network(cls, parameters: Classifier, trunk: Trunk, classes: Sequence[str]) -> ClassMapClassifier:
        """A trunk with two branches."""
        settings = cast(SeenetClassifier, parameters)
        return SelfErasingClassifier(trunk, classes, settings.branch_channels)

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """``initial`` (S_A), ``erased`` (S_B), ``background`` (S_C), and ``loss``, their sum."""
        network, settings = cast(SelfErasingClassifier, self.network), cast(SeenetClassifier, self.parameters)
        low_threshold = settings.low_threshold if settings.reverse_background else None
        features = network.features(images)
        maps = network.branch_maps(features, labels, settings.high_threshold, low_threshold, settings.erased_gradient)
        losses = {"initial": _loss(maps.first, labels), "erased": _loss(maps.second, labels)}
        if settings.background_branch:
            limit = settings.background_threshold
            if limit is None:
                limit = (settings.high_threshold + settings.low_threshold) / 2
            background = features * (maps.seen < limit)[:, None]
            losses["background"] = _loss(network.second(background), torch.zeros_like(labels))
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


def _loss(maps: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy between the means of maps (B, K, h, w) and labels (B, K)."""
    return functional.binary_cross_entropy_with_logits(maps.mean(dim=(2, 3)), labels)
