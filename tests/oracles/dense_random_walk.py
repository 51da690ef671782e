"""The random walk as the formula says it, with dense float64 matrices: slow and plain."""

import numpy as np


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
