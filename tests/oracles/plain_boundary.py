"""The boundary F-score, pixel by pixel, for masks without ignored pixels."""

import math

import numpy as np


def boundary(labels: np.ndarray, label: int) -> list[tuple[int, int]]:
    height, width = labels.shape
    found = []
    for y, x in np.argwhere(labels == label).tolist():
        neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(0 <= v < height and 0 <= u < width and labels[v, u] != label for v, u in neighbours):
            found.append((y, x))
    return found


def share_near(pixels: list[tuple[int, int]], others: list[tuple[int, int]], tolerance: float) -> float:
    near = [any(math.dist(pixel, other) <= tolerance for other in others) for pixel in pixels]
    return sum(near) / len(near) if near else 0.0


def plain_boundary_f(prediction: np.ndarray, truth: np.ndarray, classes: int) -> float:
    tolerance = 0.0075 * math.hypot(*truth.shape)
    scores = []
    for label in range(classes + 1):
        predicted, true = boundary(prediction, label), boundary(truth, label)
        if predicted or true:
            precision, recall = share_near(predicted, true, tolerance), share_near(true, predicted, tolerance)
            scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return float(np.mean(scores)) if scores else math.nan
