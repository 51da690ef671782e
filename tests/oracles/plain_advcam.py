"""AdvCAM as the authors' code runs it, step by literal step: two backward passes per step.

Slow and plain; ``wsss_core.cams.advcam`` has to give the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def grad_cam(features: Tensor, logits: Tensor, class_index: int) -> Tensor:
    """(2, h, w) of features (2, F, h, w) and class maps (2, C, h, w); the weights carry no gradient."""
    (gradient,) = torch.autograd.grad(logits[:, class_index].relu().sum(), features, retain_graph=True)
    positive = (gradient > 0).sum()
    weights = gradient.sum(dim=(2, 3)) / (positive + 1e-12)  # (2, F)
    return (weights.detach()[:, :, None, None] * features).sum(dim=1).relu()


def mean_of_positive(logits: Tensor) -> Tensor:
    """The authors' scores (2, C) of class maps (2, C, h, w)."""
    return logits.relu().mean(dim=(2, 3))


def plain_climb(
    trunk: Callable[[Tensor], Tensor],
    head: nn.Conv2d,
    clean: Tensor,
    class_index: int,
    steps: int,
    step_size: float,
    regularisation: float,
    mask_threshold: float,
    suppress_other_classes: bool,
    scores: Callable[[Tensor], Tensor] = mean_of_positive,
) -> Tensor:
    """Sum of the maps (h', w') that one class shows while the image clean (3, h, w) climbs.

    ``trunk`` gives the features that ``head`` makes class maps of, ``scores`` what shall rise or fall.
    """
    images = torch.stack([clean, clean.flip(2)])
    total, initial = 0.0, None
    for _ in range(steps):
        images = images.detach().requires_grad_()
        features = trunk(images)
        logits = head(features)
        maps = grad_cam(features, logits, class_index)
        region = maps[0] + maps[1].flip(1)
        total = total + region.detach()
        if initial is None:
            initial = region.detach()
        mask = (region / region.max() > mask_threshold).to(region).detach()
        gap = scores(logits)  # (2, C)
        loss = gap[:, class_index].sum()
        if suppress_other_classes:
            others = [c for c in range(logits.shape[1]) if c != class_index]
            loss = loss - gap[:, others].sum()
        loss = loss - regularisation * ((region - initial).abs() * mask).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        with torch.no_grad():
            moved = images + step_size * gradient / (gradient.abs().max() + 1e-12)
            images = moved.clamp(images.min().item(), images.max().item())
    return total
