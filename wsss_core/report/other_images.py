"""Whether a lead depends on which images it was measured on: the images are drawn again at random, many times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
"""How often as many images are drawn, with replacement: a bootstrap."""
FEWEST = 20
"""Fewer images say nothing about others."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Lead:
    """By how much one experiment's mIoU is above another's on images drawn again."""

    images: int
    """How many images are drawn from, and in each draw."""
    ahead: float
    """Share of the draws in which it is above, in percent."""
    low: float
    """95 % of the leads are from this one on, in points."""
    high: float
    """And up to this one."""


def lead_on_other_images(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> Lead | None:
    """Compare two experiments on the same draws; the same draws every time.

    Args:
        one: of each image the pixel counts (3, C + 1) of :class:`wsss_core.report.gallery_choice.ImageScore`.
        other: the same of the same images.

    Returns:
        The lead of ``one``; None of fewer than ``FEWEST`` images.
    """
    images = len(one)
    if images < FEWEST:
        return None
    drawn = np.random.default_rng(0).integers(images, size=(DRAWS, images))
    times = np.stack([np.bincount(draw, minlength=images) for draw in drawn]).astype(np.float64)  # (DRAWS, images)
    leads = 100 * (_miou(times, one) - _miou(times, other))
    low, high = np.percentile(leads, PERCENTILES)
    return Lead(images, 100 * float((leads > 0).mean()), float(low), float(high))


def _miou(times: np.ndarray, counts: Sequence[np.ndarray]) -> np.ndarray:
    """The mIoU (DRAWS,) of each draw, from how often an image is in it (DRAWS, images)."""
    stacked = np.stack(counts).astype(np.float64)  # (images, 3, C + 1)
    # Sums of whole numbers below 2^53: exact, in whatever order.
    totals = (times @ stacked.reshape(len(stacked), -1)).reshape(len(times), *stacked.shape[1:])
    right, true, found = totals[:, 0], totals[:, 1], totals[:, 2]  # (DRAWS, C + 1) each
    present = true > 0
    iou = np.divide(right, true + found - right, out=np.zeros_like(right), where=present)
    return iou.sum(axis=1) / present.sum(axis=1)
