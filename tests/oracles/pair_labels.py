"""Pairs sorted by their labels, pair by pair."""

from collections.abc import Sequence

import numpy as np


def plain_pair_labels(
    labels: np.ndarray, offsets: Sequence[tuple[int, int]], radius: int, unlabelled: int = 255
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Background, foreground and negative pairs of labels (B, h, w), bool (B, P, h', w') each.

    First cells are those with ``radius - 1`` cells below them, to their left and to their right.
    """
    batch, height, width = labels.shape
    far = radius - 1
    shape = (batch, len(offsets), max(height - far, 0), max(width - 2 * far, 0))
    background, foreground, negative = (np.zeros(shape, dtype=bool) for _ in range(3))
    for b, grid in enumerate(labels.tolist()):
        for p, (down, right) in enumerate(offsets):
            for y in range(shape[2]):
                for x in range(shape[3]):
                    first, second = grid[y][x + far], grid[y + down][x + far + right]
                    if first == unlabelled or second == unlabelled:
                        continue
                    kind = negative if first != second else foreground if first else background
                    kind[b, p, y, x] = True
    return background, foreground, negative
