"""MCTformer+'s objective: classification by class tokens and by patches, and a contrast between class tokens.

Xu et al., "MCTformer+: Multi-Class Token Transformer for Weakly Supervised Semantic Segmentation", TPAMI 2024; written
from the paper's formulas, and compared with the results of the authors' code (``tests/parity/test_mctformer.py``).
"""

from collections.abc import Sequence
from typing import cast

import torch
from timm.layers import DropPath
from torch import Tensor
from torch.nn import functional

from wsss_core.classifiers.objective import Objective
from wsss_core.config.classifiers import Classifier
from wsss_core.config.networks import Trunk
from wsss_core.config.token_classifiers import MctformerClassifier
from wsss_core.networks.class_tokens import ClassTokenClassifier
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.parameter_groups import ParameterGroup

EPSILON = 1e-8
"""Prevents division by zero for an image without classes."""


class MctformerObjective(Objective, name="mctformer"):
    """Multi-label soft margin losses of both logits, and the contrast of the class tokens of the last blocks."""

    @classmethod
    def build_network(cls, parameters: Classifier, trunk: Trunk, classes: Sequence[str]) -> ClassMapClassifier:
        """A vision transformer with class tokens, for images of the training crops' size."""
        settings = cast(MctformerClassifier, parameters)
        network = ClassTokenClassifier(trunk, classes, settings.augmentation.crop, settings.ranking_decay)
        blocks = network.trunk.body.blocks
        for number, block in enumerate(blocks):
            rate = settings.drop_path * number / max(1, len(blocks) - 1)
            block.drop_path1, block.drop_path2 = DropPath(rate), DropPath(rate)
        return network

    def parameter_groups(self) -> list[ParameterGroup]:
        """All weights, without weight decay for biases, one-dimensional weights and class tokens."""
        factor = self.parameters.optimisation.head_factor
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                decays = parameter.dim() > 1 and name != "class_tokens"
                rate = 1.0 if name.startswith("trunk.") else factor
                groups.setdefault((rate, decays), []).append(parameter)
        return [
            ParameterGroup(parameters, rate, **({} if decays else {"weight_decay": 0.0}))
            for (rate, decays), parameters in groups.items()
        ]

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """``class_tokens``, ``patches``, ``contrast`` (weighted), and ``loss``, their sum."""
        settings, network = cast(MctformerClassifier, self.parameters), cast(ClassTokenClassifier, self.network)
        seen = network.see(images)
        losses = {
            "class_tokens": functional.multilabel_soft_margin_loss(seen.class_logits, labels),
            "patches": functional.multilabel_soft_margin_loss(seen.patch_logits, labels),
        }
        if settings.contrast_weight > 0:
            contrast = contrast_loss(seen.class_tokens[-settings.contrast_layers :], labels)
            losses["contrast"] = settings.contrast_weight * contrast
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}


def contrast_loss(class_tokens: Sequence[Tensor], labels: Tensor) -> Tensor:
    """How similar the directions of an image's class tokens are.

    Each block's tokens are scaled to length 1. The products of a token with all tokens are logits for its own class:
    the loss is the cross-entropy over all classes, for the image's own classes. There is no temperature.

    Args:
        class_tokens: for each block, (B, K, C).
        labels: (B, K), 1 or 0.

    Returns:
        A scalar: the mean over an image's classes, then over blocks and images; 0 for an image without classes.
    """
    shown = labels.sum(dim=1)
    of_blocks = []
    for tokens in class_tokens:
        directions = functional.normalize(tokens, dim=2)
        own = (directions @ directions.transpose(1, 2)).log_softmax(dim=2).diagonal(dim1=1, dim2=2)  # (B, K)
        of_blocks.append(-(own * labels).sum(dim=1) / (shown + EPSILON))
    return torch.stack(of_blocks).mean()
