"""Why masks and labels may differ: the mistakes that people make, told by which of them explains the difference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

FEWEST = 3
"""A cause that fewer images speak for is not told."""
CLEAR_IMAGES = 5
"""A cause that so many images speak for may be a reason to refuse masks."""
CLEAR_SHARE = 0.2
"""The same of all labels and masks that differ."""
EXPLAINS = 0.25
"""A cause leaves at most this share of the differences."""


@dataclass(frozen=True)
class Cause:
    """A mistake that explains the differences."""

    text: str
    """What it is, and what to do."""
    is_clear: bool
    """Whether enough images speak for it to refuse the masks."""


def likely_causes(
    labels: np.ndarray,
    present: np.ndarray,
    rows: np.ndarray,
    ignored: np.ndarray,
    classes: Sequence[str],
    orders: Sequence[np.ndarray],
) -> list[Cause]:
    """The mistakes that explain why masks and labels of images differ.

    Args:
        labels: bool (N, K), which image is labelled with which class.
        present: bool (N, K), which classes its mask shows.
        rows: bool (N,), the images with a mask that are looked at.
        ignored: (N,), pixels that do not count.
        classes: the K names.
        orders: int (N,) each, positions of the images in orders that a shift may follow.

    Returns:
        Those that explain it, none if nothing does or there is nothing to explain.
    """
    own_labels, own_present = labels[rows], present[rows]
    if not (own_labels != own_present).any():
        return []
    if not own_present.any():
        return _empty(own_labels, ignored[rows])
    found = _same_value(own_labels, own_present, classes)
    if found:
        return found
    shifts = [cause for order in orders for cause in _shift(labels[order], present[order], rows[order])]
    return [*_order(own_labels, own_present, classes), *dict.fromkeys(shifts)]


def _empty(labels: np.ndarray, ignored: np.ndarray) -> list[Cause]:
    """All masks hold nothing, or nothing that counts."""
    enough = bool(labels.any(axis=1).sum() >= CLEAR_IMAGES)
    if (ignored > 0).any():
        text = (
            "the masks hold no class, but the value of pixels that do not count (255, or 65535 of 16 bits); in a mask, "
            "the first class is 1"
        )
    else:
        text = (
            "the masks are empty, all 0; write 1 for the first class, 2 for the second, or take the masks away if "
            "there are none"
        )
    return [Cause(text, enough)]


def _same_value(labels: np.ndarray, present: np.ndarray, classes: Sequence[str]) -> list[Cause]:
    """All objects have one value, whatever their class."""
    values = np.flatnonzero(present.any(axis=0)).tolist()
    if len(values) != 1 or len(classes) == 1:
        return []
    others = labels.any(axis=1) & ~labels[:, values[0]]
    shown = int((present[:, values[0]] & others).sum())
    if shown < FEWEST or present[others].any(axis=1).mean() < 1 - EXPLAINS:
        return []
    text = (
        f"all objects are saved as {values[0] + 1} ({classes[values[0]]!r}), as in masks that tell objects from "
        "background alone; write each class's own number"
    )
    return [Cause(text, _is_clear(shown, labels != present, labels, present))]


def _order(labels: np.ndarray, present: np.ndarray, classes: Sequence[str]) -> list[Cause]:
    """The masks number the classes in another order."""
    mask, label = present.astype(np.float32), labels.astype(np.float32)
    both = mask.T @ label  # (K values, K labels): whole numbers, exact up to 2^24
    # Images that have one of the two without the other: their sum is what an order leaves unexplained.
    apart = mask.sum(axis=0)[:, None] + label.sum(axis=0)[None] - 2 * both
    values, meant = (side.tolist() for side in linear_sum_assignment(apart))
    explained = np.zeros_like(labels)
    explained[:, meant] = present[:, values]
    support = int(((labels != present).any(axis=1) & (labels == explained).all(axis=1)).sum())
    if support < FEWEST or (labels != explained).sum() > EXPLAINS * (labels != present).sum():
        return []
    moved = [(v, k) for v, k in zip(values, meant, strict=True) if v != k and both[v, k] > 0]
    if not moved:
        return []
    told = ", ".join(f"{v + 1} goes with {classes[k]!r} (here {k + 1})" for v, k in moved[:6])
    text = f"the masks number the classes in another order: {told}{', ...' if len(moved) > 6 else ''}"
    if len(classes) <= 40:
        order = ", ".join(classes[k] for k in meant)
        text += f"; 'dataset.classes' has the names in the order of the masks' values, which would be [{order}]"
    return [Cause(text, _is_clear(support, labels != present, labels, present))]


def _shift(labels: np.ndarray, present: np.ndarray, rows: np.ndarray) -> list[Cause]:
    """Each image has the mask of the one before or after it."""
    found = []
    for step, what in ((1, "before"), (-1, "after")):
        # The mask at a place is the one of the image a step back.
        shifted = np.roll(labels, step, axis=0)
        inner = rows.copy()
        inner[0 if step == 1 else -1] = False
        differ, left = labels[inner] != present[inner], shifted[inner] != present[inner]
        support = int((differ.any(axis=1) & ~left.any(axis=1)).sum())
        if support >= FEWEST and left.sum() <= EXPLAINS * differ.sum():
            text = f"the masks are shifted by one image: each fits the label of the image {what} its own"
            found.append(Cause(text, _is_clear(support, differ, labels[inner], present[inner])))
    return found


def _is_clear(support: int, differ: np.ndarray, labels: np.ndarray, present: np.ndarray) -> bool:
    return support >= CLEAR_IMAGES and bool(differ.sum() >= CLEAR_SHARE * (labels.sum() + present.sum()))
