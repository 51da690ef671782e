"""Binary cross-entropy of many logits, one by one."""

import torch
from torch import Tensor


def cross_entropy(logits: list[Tensor], targets: list[list[float]]) -> Tensor:
    """Mean over images and classes of -t log s(x) - (1 - t) log(1 - s(x)), with s the logistic function."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for image_logits, image_targets in zip(logits, targets, strict=True):
        for logit, target in zip(image_logits, image_targets, strict=True):
            seen, unseen = 1 / (1 + torch.exp(-logit)), 1 / (1 + torch.exp(logit))
            total = total - target * torch.log(seen) - (1 - target) * torch.log(unseen)
            count += 1
    return total / count
