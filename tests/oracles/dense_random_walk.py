"""The random walk as the formula says it, with dense float64 matrices: slow and plain."""

import numpy as np

from tests.oracles.affinity_pairs import Cell


def dense_transitions(
    affinities: np.ndarray, offsets: list[tuple[int, int]], beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """A / its column sums, (n, n), and the column sums, (n,), from affinities (P, h, w)."""
    _, height, width = affinities.shape
    matrix = np.eye(height * width)
    for p, (down, right) in enumerate(offsets):
        for y in range(height):
            for x in range(width):
                if 0 <= y + down < height and 0 <= x + right < width:
                    first, second = y * width + x, (y + down) * width + x + right
                    matrix[first, second] = matrix[second, first] = affinities[p, y, x] ** beta
    sums = matrix.sum(axis=0)
    return matrix / sums[None, :], sums


def dense_random_walk(
    maps: np.ndarray, affinities: np.ndarray, offsets: list[tuple[int, int]], beta: float, log2_steps: int
) -> np.ndarray:
    """Row vectors times the transition matrix, squared ``log2_steps`` times, as in AffinityNet's code."""
    transitions, _ = dense_transitions(affinities, offsets, beta)
    for _ in range(log2_steps):
        transitions = transitions @ transitions
    return (maps.reshape(len(maps), -1) @ transitions).reshape(maps.shape)


def walk_along_pairs(
    maps: np.ndarray, affinities: dict[frozenset[Cell], float], beta: float, log2_steps: int
) -> np.ndarray:
    """The same of maps (K, h, w), with the affinities of some pairs of cells; others have none."""
    height, width = maps.shape[1:]
    matrix = np.eye(height * width)
    for (a, b), value in ((tuple(pair), value) for pair, value in affinities.items()):
        first, second = a[0] * width + a[1], b[0] * width + b[1]
        matrix[first, second] = matrix[second, first] = value**beta
    transitions = matrix / matrix.sum(axis=0)[None, :]
    for _ in range(log2_steps):
        transitions = transitions @ transitions
    return (maps.reshape(len(maps), -1) @ transitions).reshape(maps.shape)
