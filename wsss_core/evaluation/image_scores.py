"""Scores of single images: which show too much of an object, and which too little.

All are of the image's counted pixels: ``miou`` over the classes in its mask; ``over_activated``, the share with
background in the mask and an object as label; ``under_activated``, the share with an object in the mask and background
or nothing as label; ``confused``, the share with another object's label.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wsss_core.files.atomic import atomic_path

MEASURES = ("miou", "over_activated", "under_activated", "confused")
"""The measures of an image."""


def image_measures(matrices: np.ndarray) -> np.ndarray:
    """The measures of one image, at each of several thresholds.

    Args:
        matrices: (T, C + 1, C + 2), or (T, C + 1, C + 1) if all pixels have a class: counted pixels, rows truth,
            background first, the last column of C + 2 for pixels without a label.

    Returns:
        (T, 4) float64 in [0, 1], in the order of ``MEASURES``; NaN without counted pixels.
    """
    classes = matrices.shape[1]
    right = np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64)  # (T, C + 1)
    true, predicted = matrices.sum(axis=2), matrices[:, :, :classes].sum(axis=1)
    pixels = true.sum(axis=1)  # (T,)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(true > 0, right / (true + predicted - right), 0).sum(axis=1) / (true > 0).sum(axis=1)
        over = matrices[:, 0, 1:classes].sum(axis=1) / pixels
        under = (matrices[:, 1:, 0].sum(axis=1) + matrices[:, 1:, classes:].sum(axis=(1, 2))) / pixels
        found = matrices[:, 1:, 1:classes].sum(axis=(1, 2))
        confused = (found - right[:, 1:].sum(axis=1)) / pixels
    return np.stack([iou, over, under, confused], axis=1)


def write_image_scores(
    images_csv: Path, image_ids: Sequence[str], measures: Sequence[np.ndarray], same: Mapping[str, str] | None = None
) -> None:
    """Write a table with a row for each image, the worst first.

    Args:
        images_csv: the table to write.
        image_ids: the images.
        measures: of each image, (4,) in the order of ``MEASURES``.
        same: columns after the image with the same value in every row, such as the threshold.
    """
    same = dict(same or {})
    ranked = sorted(zip(image_ids, measures, strict=True), key=lambda row: (np.nan_to_num(row[1][0], nan=2.0), row[0]))
    with atomic_path(images_csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["image_id", *same, *MEASURES])
        for image_id, values in ranked:
            writer.writerow([image_id, *same.values(), *("" if np.isnan(v) else f"{v:.6f}" for v in values)])
