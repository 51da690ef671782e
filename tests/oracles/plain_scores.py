"""Confusion matrices and scores, pixel by pixel and threshold by threshold."""

import numpy as np


def plain_confusion(prediction: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes + 1, classes + 2), dtype=np.int64)
    for predicted, true in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if true != 255:
            matrix[true, classes + 1 if predicted == 255 else predicted] += 1
    return matrix


def plain_iou(prediction: np.ndarray, truth: np.ndarray, label: int) -> float:
    counted = truth != 255
    both = np.sum((prediction == label) & (truth == label))
    either = np.sum(((prediction == label) | (truth == label)) & counted)
    return both / either if np.any(truth == label) else float("nan")


def plain_seed(cam: np.ndarray, present: np.ndarray, threshold: float) -> np.ndarray:
    """(H, W): the argmax over the background's constant score and the maps (K, H, W), as irn ``eval_cam``."""
    scores = np.concatenate([np.full((1, *cam.shape[1:]), threshold, np.float32), cam])
    return np.concatenate([[0], np.asarray(present) + 1])[scores.argmax(axis=0)]
