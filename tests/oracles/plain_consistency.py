"""Perturbations and losses of cross-consistency training, image by image and place by place."""

import math

import numpy as np


def plain_drop(features: np.ndarray, share: float) -> np.ndarray:
    """(C, h, w) of one image: places whose mean reaches a share of the largest are 0."""
    result = features.copy()
    strength = [[float(np.mean(features[:, y, x])) for x in range(features.shape[2])] for y in range(features.shape[1])]
    highest = max(max(row) for row in strength)
    for y, row in enumerate(strength):
        for x, value in enumerate(row):
            if value >= share * highest:
                result[:, y, x] = 0
    return result


def plain_boxes(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """First and last row, first and last column of everything that hangs together over sides."""
    left, boxes = {tuple(place) for place in np.argwhere(mask)}, []
    while left:
        waiting, seen = [min(left)], set()
        while waiting:
            place = waiting.pop()
            if place in left:
                left.discard(place)
                seen.add(place)
                y, x = place
                waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        rows, columns = [y for y, _ in seen], [x for _, x in seen]
        boxes.append((min(rows), max(rows), min(columns), max(columns)))
    return sorted(boxes)


def plain_probabilities(scores: np.ndarray) -> list[float]:
    """Softmax of the scores of one place."""
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def plain_consistency(main: np.ndarray, others: list[np.ndarray]) -> float:
    """Mean over decoders, images, places and classes of squared differences of probabilities; (B, K + 1, h, w) each."""
    total, count = 0.0, 0
    for other in others:
        for image in range(main.shape[0]):
            for y in range(main.shape[2]):
                for x in range(main.shape[3]):
                    pairs = zip(
                        plain_probabilities(main[image, :, y, x]),
                        plain_probabilities(other[image, :, y, x]),
                        strict=True,
                    )
                    for wanted, found in pairs:
                        total += (wanted - found) ** 2
                        count += 1
    return total / count
