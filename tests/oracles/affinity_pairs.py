"""Pairs of neighbouring cells, their affinities and AffinityNet's loss, cell by cell."""

import math
from itertools import combinations, product

import numpy as np

Cell = tuple[int, int]


def pairs_within(radius: float, height: int, width: int) -> list[tuple[Cell, Cell]]:
    """All pairs of cells closer than ``radius``, each once; the first cell is above the second, or left in its row."""
    cells = list(product(range(height), range(width)))
    return [(a, b) for a, b in combinations(cells, 2) if math.dist(a, b) < radius]


def authors_pairs(radius: int, height: int, width: int) -> list[tuple[Cell, Cell]]:
    """Those pairs whose first cell could have a second one at every offset of the radius."""
    far = radius - 1
    return [
        (a, b)
        for a, b in pairs_within(radius, height, width)
        if a[0] + far < height and a[1] - far >= 0 and a[1] + far < width
    ]


def affinity(features: np.ndarray, first: Cell, second: Cell) -> float:
    """exp(-mean absolute difference) of two columns of features (C, h, w)."""
    return math.exp(-np.mean(np.abs(features[:, first[0], first[1]] - features[:, second[0], second[1]])))


def losses(features: np.ndarray, labels: np.ndarray, radius: int, border_pairs: bool) -> dict[str, float]:
    """The three-way loss of features (B, C, h, w) and labels (B, h, w), all pairs of the batch together."""
    terms: dict[str, list[float]] = {"background": [], "foreground": [], "negative": []}
    for one, label in zip(features, labels, strict=True):
        for a, b in (pairs_within if border_pairs else authors_pairs)(radius, *label.shape):
            if label[a] == 255 or label[b] == 255:
                continue
            value = affinity(one, a, b)
            if label[a] != label[b]:
                terms["negative"].append(-math.log(1 + 1e-5 - value))
            else:
                terms["foreground" if label[a] else "background"].append(-math.log(value + 1e-5))
    means = {name: sum(values) / (len(values) + 1e-5) for name, values in terms.items()}
    loss = means["background"] / 4 + means["foreground"] / 4 + means["negative"] / 2
    return {"loss": loss, **means}


def walk_affinities(features: np.ndarray, radius: int, border_pairs: bool) -> dict[frozenset[Cell], float]:
    """Affinities of the pairs that a walk on features (C, h, w) uses; if there are none, those of a smaller radius."""
    height, width = features.shape[1:]
    if border_pairs:
        pairs = pairs_within(radius, height, width)
    else:
        while radius > 1 and not authors_pairs(radius, height, width):
            radius -= 1
        pairs = authors_pairs(radius, height, width)
    return {frozenset(pair): affinity(features, *pair) for pair in pairs}
