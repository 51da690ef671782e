"""Joins pseudo labels with segment masks without classes.

Chen et al., "Segment Anything Model (SAM) Enhanced Pseudo Labels for Weakly Supervised Semantic Segmentation" (SEPL,
2023), as in SAM_WSSS's ``merge/max_iou_imp2.py``.
"""

from collections.abc import Sequence

import numpy as np

from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.sam_masks import Segment


def join_masks(labels: np.ndarray, segments: Sequence[Segment], settings: SamMasks) -> np.ndarray:
    """Assign whole segments to the classes that they belong to.

    Classes take turns in ascending order. Each takes those free masks of which it fills more than ``share_of_mask``,
    and those that hold ``share_of_class`` of its pixels. It gets all pixels of these masks, and keeps its own pixels
    outside all masks that were free at the beginning of its turn. If classes overlap, the later one counts. The order
    of the masks does not matter.

    Args:
        labels: (H, W) uint8 or uint16: 0 background, class index + 1, or 255 (65535) for no label.
        segments: the image's masks, which may overlap.
        settings: the shares, and which pixels are kept.

    Returns:
        As ``labels``.
    """
    ignored = labels == ignored_in(labels)
    classes = np.unique(labels[(labels != 0) & ~ignored])
    # 0 for background and pixels without label, then 1, 2, ... in the order of the classes.
    numbers = np.where((labels == 0) | ignored, 0, np.searchsorted(classes, labels) + 1).astype(np.int32)
    takers = _takers(numbers, len(classes), segments, settings)
    never_taken = len(classes) + 1
    joined = np.zeros_like(numbers)
    free_until = np.zeros_like(numbers)
    """The last turn in which a mask that covers the pixel is still free at the beginning; 0 without a mask."""
    for segment, taker in zip(segments, takers, strict=True):
        for canvas, value in ((joined, taker), (free_until, taker or never_taken)):
            part = canvas[segment.box]
            np.maximum(part, value, out=part, where=segment.inside)
    if settings.keep_uncovered:
        np.maximum(joined, numbers, out=joined, where=free_until < numbers)
    result = np.concatenate([np.zeros(1, labels.dtype), classes])[joined]
    if settings.keep_ignored:
        result[ignored & (result == 0)] = ignored_in(labels)
    return result


def _takers(numbers: np.ndarray, classes: int, segments: Sequence[Segment], settings: SamMasks) -> list[int]:
    """The number of the class that takes each mask; 0 if none does."""
    sizes = np.bincount(numbers.ravel(), minlength=classes + 1)
    takers = []
    for segment in segments:
        shared = np.bincount(numbers[segment.box][segment.inside], minlength=classes + 1)
        wins = shared > settings.share_of_mask * shared.sum()
        if settings.share_of_class is not None:
            wins |= shared / np.maximum(sizes, 1) >= settings.share_of_class
        takers.append(next((number for number in range(1, classes + 1) if wins[number]), 0))
    return takers
