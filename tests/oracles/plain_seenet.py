"""SeeNet's losses by the paper's formulas, cell by cell, with the gradient of the authors' erasing layer."""

import torch
from torch import Tensor

from tests.oracles.cross_entropy import cross_entropy


def plain_attention(maps: Tensor, shown: list[int]) -> list[list[float]]:
    """Of class maps (K, h, w) and labels, the largest of the shown classes' scaled maps in every cell."""
    height, width = maps.shape[1:]
    seen = [[0.0] * width for _ in range(height)]
    for class_map, there in zip(maps.tolist(), shown, strict=True):
        if not there:
            continue
        values = [[max(value, 0.0) for value in row] for row in class_map]
        lowest, highest = min(map(min, values)), max(map(max, values))
        for y in range(height):
            for x in range(width):
                seen[y][x] = max(seen[y][x], (values[y][x] - lowest) / (highest - lowest + 1e-8))
    return seen


def plain_erased(features: Tensor, seen: list[list[float]], high: float, low: float, reverse: bool, gradient: str):
    """Features (C, h, w) times 0 where attention is, times -1 where background is."""
    value, slope = torch.ones_like(features), torch.ones_like(features)
    for y, row in enumerate(seen):
        for x, attention in enumerate(row):
            if attention > high:
                value[:, y, x] = 0
                slope[0, y, x] = 0  # the authors' slip: the first channel alone
                if gradient == "exact":
                    slope[:, y, x] = 0
            elif attention < low and reverse:
                value[:, y, x] = slope[:, y, x] = -1
    passed = features * slope
    return passed + (features * value - passed).detach()


def plain_losses(
    network,
    images: Tensor,
    labels: list[list[int]],
    high: float,
    low: float,
    background: float | None,
    reverse: bool,
    gradient: str,
) -> dict[str, Tensor]:
    """Named losses.

    Args:
        network: has ``trunk``, ``first`` and ``second``.
        images: (B, 3, H, W).
        labels: of each image 1 or 0 for each class.
        high: above this attention is erased.
        low: below this is background.
        background: below this is what the third branch sees; None is no third branch.
        reverse: reverse the sign of the background.
        gradient: ``authors`` or ``exact``.
    """
    initial, erased, behind = [], [], []
    for image, shown in zip(images, labels, strict=True):
        features = network.trunk(image[None])[-1][0]
        maps = network.first(features[None])[0]
        seen = plain_attention(maps, shown)
        kept = plain_erased(features, seen, high, low, reverse, gradient)
        initial.append(torch.stack([class_map.mean() for class_map in maps]))
        erased.append(torch.stack([class_map.mean() for class_map in network.second(kept[None])[0]]))
        if background is not None:
            alone = torch.zeros_like(features)
            for y, row in enumerate(seen):
                for x, attention in enumerate(row):
                    if attention < background:
                        alone[:, y, x] = features[:, y, x]
            behind.append(torch.stack([class_map.mean() for class_map in network.second(alone[None])[0]]))
    losses = {"initial": cross_entropy(initial, labels), "erased": cross_entropy(erased, labels)}
    if background is not None:
        losses["background"] = cross_entropy(behind, [[0] * len(shown) for shown in labels])
    return {"loss": sum(losses.values()), **losses}
