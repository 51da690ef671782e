"""Thresholds of each class, from its own scores, above which a pixel gets its label."""

import numpy as np

from wsss_core.config.averaging import ClassThresholds


def above_class_thresholds(scores: np.ndarray, thresholds: ClassThresholds) -> np.ndarray:
    """Mark the pixels in which exactly one label's score is above its threshold.

    A label's threshold is a share of its highest score in the image, at least ``thresholds.lowest``. Pixels above the
    thresholds of several labels are ambiguous and get none, as in Araslanov & Roth, "Single-Stage Semantic Segmentation
    from Image Labels" (CVPR 2020), section 4.2, and 1-stage-wseg's ``models/stage_net.py``.

    Args:
        scores: float (L, H, W), values >= 0, the background first.
        thresholds: the shares and the lowest threshold.

    Returns:
        bool (L, H, W): True for at most one label of a pixel.
    """
    shares = np.full(len(scores), thresholds.objects, dtype=scores.dtype)
    shares[:1] = thresholds.background
    lowest = np.asarray(thresholds.lowest, dtype=scores.dtype)
    above = scores > np.maximum(scores.max(axis=(1, 2)) * shares, lowest)[:, None, None]
    return above & (above.sum(axis=0) == 1)
