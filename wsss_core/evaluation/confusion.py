"""Counts pixels by true and predicted class, and computes scores from the counts."""

from dataclasses import dataclass

import numpy as np

from wsss_core.datasets.label_values import ignored_in


@dataclass(frozen=True)
class Scores:
    """Scores of label maps, in [0, 1]; NaN without any pixel."""

    iou: np.ndarray
    """(C + 1,) float64: intersection over union, background first; NaN for classes absent from the masks."""
    miou: float
    """Mean of ``iou`` over the classes present in the masks."""
    pixel_accuracy: float
    """Share of the counted pixels with the right class."""
    precision: float
    """Mean over the classes present in the masks, background included, of the share of the class's predicted pixels
    that are right; 0 for a class that is predicted nowhere."""
    recall: float
    """Mean over the same classes of the share of the class's pixels that are found."""


def confusion_matrix(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        prediction: (H, W) uint8 (or uint16), 0 background, 1..C, or 255 (65535) for no class.
        truth: (H, W) uint8 (or uint16), 0 background, 1..C, or 255 (65535) for ignored pixels.
        classes: number C of object classes, without the background.

    Returns:
        (C + 1, C + 2) int64. Rows are the truth; the last column counts pixels predicted as 255, which their class
        misses but which are no error of another class.

    Raises:
        ValueError: the sizes differ, or a value is neither a class nor 255.
    """
    if prediction.shape != truth.shape:
        sizes = f"{size_text(prediction.shape)}, the mask {size_text(truth.shape)}"
        raise ValueError(f"the prediction is {sizes} (height x width)")
    counted = truth != ignored_in(truth)
    true, predicted = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    predicted[predicted == ignored_in(prediction)] = classes + 1
    _check_range(truth[counted], classes, "mask")
    _check_range(prediction[counted & (prediction != ignored_in(prediction))], classes, "prediction")
    columns = classes + 2
    counts = np.bincount(true * columns + predicted, minlength=(classes + 1) * columns)
    return counts.reshape(classes + 1, columns)


def scores_of(matrix: np.ndarray) -> Scores:
    """Scores from a confusion matrix (C + 1, C + 2), or (C + 1, C + 1) if all pixels have a class.

    Rows are the truth. Add up the matrices of all images first: the field's scores are of all pixels together, not
    means over images.
    """
    right = np.diagonal(matrix).astype(np.float64)  # (C + 1,)
    true = matrix.sum(axis=1)
    predicted = matrix[:, : len(right)].sum(axis=0)
    present = true > 0
    if not present.any():
        nothing = float("nan")
        return Scores(np.full(len(right), np.nan), nothing, nothing, nothing, nothing)
    iou = np.full(len(right), np.nan)
    iou[present] = right[present] / (true + predicted - right)[present]
    return Scores(
        iou=iou,
        miou=float(iou[present].mean()),
        pixel_accuracy=float(right.sum() / true.sum()),
        precision=float((right[present] / np.maximum(predicted[present], 1)).mean()),
        recall=float((right[present] / true[present]).mean()),
    )


def size_text(shape: tuple[int, ...]) -> str:
    """Height x width, for messages."""
    return " x ".join(str(side) for side in shape)


def _check_range(labels: np.ndarray, classes: int, what: str) -> None:
    if labels.size and labels.max() > classes:
        raise ValueError(f"the {what} has the value {labels.max()}; classes are 0 to {classes}, and 255 for none")
