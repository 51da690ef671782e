"""MCTformer+'s losses and map, image by image and class by class."""

import math

import torch
from torch import Tensor


def plain_contrast(class_tokens: list[Tensor], labels: list[list[int]]) -> Tensor:
    """Of tokens after each block (B, K, C): the mean over classes, blocks and images; no classes give 0."""
    total = torch.zeros((), dtype=class_tokens[0].dtype)
    for image, shown in enumerate(labels):
        for tokens in class_tokens:
            own = tokens[image]
            of_classes = []
            for k in range(len(own)):
                if not shown[k]:
                    continue
                cosines = [own[k] @ other / (own[k].norm() * other.norm()) for other in own]
                of_classes.append(torch.stack(cosines).logsumexp(dim=0) - cosines[k])
            if of_classes:
                total = total + torch.stack(of_classes).mean() / len(class_tokens)
    return total / len(labels)


def plain_ranked_mean(values: list[float], decay: float) -> float:
    """The weighted mean of one class map's values."""
    ordered = sorted(values, reverse=True)
    weights = [math.pow(decay, rank) for rank in range(len(ordered))]
    return sum(v * w for v, w in zip(ordered, weights, strict=True)) / sum(weights)
