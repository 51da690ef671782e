"""Boundary F-score: how well the outlines of label maps follow those of the masks.

After Csurka, Larlus & Perronnin, "What is a good evaluation measure for semantic segmentation?" (BMVC 2013):
precision and recall of each class's boundary pixels, with a tolerance of 0.75 % of the image's diagonal.
"""

import math

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from wsss_core.datasets.label_values import ignored_in

TOLERANCE = 0.0075
"""Largest distance of two boundary pixels that match, as a share of the image's diagonal."""


def boundary_f_score(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Mean F-score of an image's classes, including the background, that have a boundary in either map.

    A pixel is on its class's boundary if one of its four neighbours has another class. Precision is the share of the
    prediction's boundary pixels within the tolerance of a boundary pixel of the mask; recall is the same with the two
    maps exchanged; F = 2PR / (P + R). A class with a boundary in only one of the maps has F = 0.

    VOC's masks have a border of 255 around objects. Ignored pixels of the mask take the class of the nearest labelled
    pixel, so that the boundary is in the middle of the border. A boundary that is predicted there counts only if it
    matches, because a mismatch may be right. The paper does not mention this.

    Args:
        prediction: (H, W) uint8 (or uint16), 0 background, 1..C, or 255 (65535) for no class.
        truth: (H, W) of the same dtype, 0 background, 1..C, or 255 (65535) for ignored pixels.

    Returns:
        In [0, 1]; NaN if no class has a boundary, for example if both maps have a single class.
    """
    unknown = truth == ignored_in(truth)
    if unknown.all():
        return math.nan
    predicted_edges = _edges(prediction)
    truth = _with_nearest_classes(truth, unknown)
    true_edges = _edges(truth)
    tolerance = TOLERANCE * math.hypot(*truth.shape)
    classes = set(np.unique(prediction[predicted_edges])) | set(np.unique(truth[true_edges]))
    scores = []
    for label in sorted(classes - {ignored_in(prediction)}):
        predicted = np.argwhere(predicted_edges & (prediction == label))
        true = np.argwhere(true_edges & (truth == label))
        right = _near(predicted, true, tolerance)
        counted = right | ~unknown[tuple(predicted.T)]
        if len(true) or counted.any():
            found = _near(true, predicted, tolerance)
            scores.append(_f_score(right.sum() / max(counted.sum(), 1), found.sum() / max(len(true), 1)))
    return float(np.mean(scores)) if scores else math.nan


def _edges(labels: np.ndarray) -> np.ndarray:
    """Pixels whose neighbour above, below, left or right has another value: (H, W) bool."""
    edges = np.zeros(labels.shape, dtype=bool)
    below, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edges[1:] |= below
    edges[:-1] |= below
    edges[:, 1:] |= right
    edges[:, :-1] |= right
    return edges


def _with_nearest_classes(truth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    if not unknown.any():
        return truth
    rows, columns = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.asarray(truth[rows, columns])


def _near(pixels: np.ndarray, others: np.ndarray, tolerance: float) -> np.ndarray:
    """Which of ``pixels`` (N, 2) have one of ``others`` (M, 2) within the tolerance: (N,) bool."""
    if not len(pixels) or not len(others):
        return np.zeros(len(pixels), dtype=bool)
    # The tree excludes points exactly at the bound.
    distances, _ = cKDTree(others).query(pixels, distance_upper_bound=np.nextafter(tolerance, np.inf))
    return np.isfinite(distances)


def _f_score(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
