"""Affinities across boundaries, pair by pair and cell by cell, and IRN's losses by loops over pairs."""

import math

import numpy as np

from tests.oracles.affinity_pairs import Cell, authors_pairs, pairs_within


def cells_between(first: Cell, second: Cell) -> list[Cell]:
    """The cells in the bounding box of two cells whose centres are less than 1 from the line through both."""
    down, right = second[0] - first[0], second[1] - first[1]
    cells = []
    for y in range(min(first[0], second[0]), max(first[0], second[0]) + 1):
        for x in range(min(first[1], second[1]), max(first[1], second[1]) + 1):
            distance = abs(down * (x - first[1]) - right * (y - first[0])) / math.hypot(down, right)
            if distance < 1 - 1e-9:
                cells.append((y, x))
    return cells


def affinities(boundary: np.ndarray, radius: int) -> dict[frozenset[Cell], float]:
    """One less the largest value of boundary (h, w) between two cells, of all pairs closer than a radius."""
    return {
        frozenset(pair): 1 - max(boundary[cell] for cell in cells_between(*pair))
        for pair in pairs_within(radius, *boundary.shape)
    }


def losses(boundaries: np.ndarray, displacements: np.ndarray, labels: np.ndarray, radius: int) -> dict[str, float]:
    """IRN's losses of boundaries (B, h, w), displacements (B, 2, h, w) and labels (B, h, w)."""
    cross, errors = {"background": [], "foreground": [], "negative": []}, {"background": [], "foreground": []}
    for boundary, moves, label in zip(boundaries, displacements, labels, strict=True):
        between = affinities(boundary, radius)
        for a, b in authors_pairs(radius, *label.shape):
            if label[a] == 255 or label[b] == 255:
                continue
            value = between[frozenset([a, b])]
            if label[a] != label[b]:
                cross["negative"].append(-math.log(1 + 1e-5 - value))
                continue
            kind = "foreground" if label[a] else "background"
            cross[kind].append(-math.log(value + 1e-5))
            for axis in range(2):
                wanted = b[axis] - a[axis] if kind == "foreground" else 0
                errors[kind].append(abs(moves[axis][a] - moves[axis][b] - wanted))
    means = {name: sum(values) / (len(values) + 1e-5) for name, values in cross.items()}
    terms = {
        "positive": means["background"] / 2 + means["foreground"] / 2,
        "negative": means["negative"],
        **{f"displacement_{name}": sum(values) / (len(values) + 1e-5) for name, values in errors.items()},
    }
    return {"loss": sum(terms.values()) / 2, **terms}
