"""Seed scores at all thresholds in one pass over each image.

At a threshold t, a pixel is background if its largest CAM value is not above t, and else has the class of the largest
value. With t, only the boundary between background and class moves, not the class. So each pixel is counted once, by
its true class, its strongest class and the number of thresholds below its value. Sums along the last axis give the
confusion matrices of all thresholds.
"""

import numpy as np

from wsss_core.config.background import THRESHOLD_STEPS
from wsss_core.datasets.label_values import ignored_in
from wsss_core.evaluation.confusion import size_text

THRESHOLDS = np.arange(THRESHOLD_STEPS) / THRESHOLD_STEPS
"""0, 0.01, ..., 0.99."""
_COMPARED = THRESHOLDS.astype(np.float32)  # as in ``cam > 0.15`` with a float32 cam


class ThresholdCounts:
    """Counts pixels of many images for the confusion matrices of all thresholds."""

    def __init__(self, classes: int) -> None:
        """Start with no pixel; ``classes`` is the number C of object classes."""
        self.classes = classes
        self.counts = np.zeros((classes + 1, classes + 1, THRESHOLD_STEPS + 1), dtype=np.int64)
        """(true class, strongest class or background, number of thresholds below the value)."""

    def add(self, cam: np.ndarray, present: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Count an image.

        Args:
            cam: (K, H, W) float32, values in [0, 1]; of equal values, the first class's counts.
            present: (K,) indices, from 0, of the maps' classes.
            truth: (H, W) uint8 (or uint16), 0 background, 1..C, 255 (65535) ignored.

        Returns:
            The image's own confusion matrices (thresholds, R, R) int64, rows truth: for the background and the R - 1
            classes that have a map or are in the mask.

        Raises:
            ValueError: the sizes differ, or the mask has a value of no class.
        """
        if cam.shape[1:] != truth.shape:
            sizes = f"{size_text(cam.shape[1:])}, the mask {size_text(truth.shape)}"
            raise ValueError(f"the class maps are {sizes} (height x width)")
        counted = truth != ignored_in(truth)
        true = truth[counted].astype(np.int64)
        if true.size and true.max() > self.classes:
            raise ValueError(f"the mask has the value {true.max()}; classes are 0 to {self.classes}, and 255 for none")
        pixels = np.bincount(true, minlength=self.classes + 1)
        if len(present) == 0:
            self.counts[:, 0, 0] += pixels
            return _own_matrices(pixels, np.zeros((self.classes + 1, 0, THRESHOLD_STEPS + 1), np.int64), present)
        columns = np.asarray(present, dtype=np.int64) + 1
        strongest = cam.argmax(axis=0)  # (H, W)
        value = np.take_along_axis(cam, strongest[None], axis=0)[0][counted]
        bins = np.searchsorted(_COMPARED, value.astype(np.float32, copy=False), side="left")
        shape = (self.classes + 1, len(columns), THRESHOLD_STEPS + 1)
        cell = (true * shape[1] + strongest[counted]) * shape[2] + bins
        counts = np.bincount(cell, minlength=shape[0] * shape[1] * shape[2]).reshape(shape)
        self.counts[:, columns] += counts
        return _own_matrices(pixels, counts, columns)

    def matrices(self) -> np.ndarray:
        """Confusion matrices (thresholds, C + 1, C + 1) int64, rows truth, in the order of ``THRESHOLDS``."""
        matrices = np.moveaxis(_above(self.counts), 2, 0).copy()
        matrices[:, :, 0] = self.counts.sum(axis=(1, 2)) - matrices[:, :, 1:].sum(axis=2)
        return matrices


def _above(counts: np.ndarray) -> np.ndarray:
    """Counts (C + 1, K, thresholds) above each threshold, from counts by the number of thresholds below.

    Above threshold i are the values with more than i thresholds below them.
    """
    return counts[:, :, ::-1].cumsum(axis=2)[:, :, ::-1][:, :, 1:]


def _own_matrices(pixels: np.ndarray, counts: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """One image's matrices for the background, the classes with a map (``columns``) and those in the mask."""
    kept = np.union1d(np.concatenate([[0], columns]), np.flatnonzero(pixels)).astype(np.int64)
    matrices = np.zeros((THRESHOLD_STEPS, len(kept), len(kept)), dtype=np.int64)
    matrices[:, :, np.searchsorted(kept, columns)] = np.moveaxis(_above(counts)[kept], 2, 0)
    matrices[:, :, 0] = pixels[kept] - matrices.sum(axis=2)
    return matrices
