"""Why masks and labels may differ: finds the common mistake that explains the difference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 3
"""A cause is reported if at least this many images support it."""
CLEAR_IMAGES = 5
"""Masks may be refused for a cause that at least this many images support."""
CLEAR_SHARE = 0.2
"""The same, as a share of all labels and masks that must differ."""
EXPLAINS = 0.25
"""A cause leaves at most this share of the differences unexplained."""
FARTHEST = 3
"""The largest shift of masks that is tried, images."""
UNRELATED = 0.3
"""Labels and masks are unrelated if they agree less than this (0: as by chance, 1: in full)."""


@dataclass(frozen=True)
class Cause:
    """A mistake that explains the differences."""

    kind: str
    """One word; only one cause of each kind is reported."""
    text: str
    """What it is, and what to do."""
    is_clear: bool
    """Whether enough images support it to refuse the masks."""


def likely_causes(
    labels: np.ndarray,
    present: np.ndarray,
    rows: np.ndarray,
    ignored: np.ndarray,
    classes: Sequence[str],
    orders: Sequence[np.ndarray],
    masks: np.ndarray | None = None,
) -> list[Cause]:
    """The mistakes that explain why masks and labels of images differ.

    Args:
        labels: bool (N, K), which image is labelled with which class.
        present: bool (N, K), which mask shows which class.
        rows: bool (N,), the images to explain; each has a mask.
        ignored: (N,), ignored pixels of each mask.
        classes: the K names.
        orders: int (N,) each, positions of the images in orders that a shift may follow.
        masks: bool (N,), all images with a mask: if the order of classes in all masks explains those of ``rows``, that
            order is reported. None for ``rows``.

    Returns:
        The mistakes; none if no known one explains the differences, or there are none.
    """
    own_labels, own_present = labels[rows], present[rows]
    if not (own_labels != own_present).any():
        return []
    if not own_present.any():
        return _empty(own_labels, ignored[rows])
    if found := _same_value(own_labels, own_present, ignored[rows], classes) or _offset(
        own_labels, own_present, classes
    ):
        return found
    everywhere = own_present if masks is None else present[masks], own_labels if masks is None else labels[masks]
    found = [*_order(own_labels, own_present, everywhere, classes), *_shift(labels, present, rows, orders)]
    return found or _instances(own_labels, own_present)


def _empty(labels: np.ndarray, ignored: np.ndarray) -> list[Cause]:
    """All masks are empty, or have only ignored pixels."""
    enough = bool(labels.any(axis=1).sum() >= CLEAR_IMAGES)
    if (ignored > 0).any():
        text = (
            "the masks hold no class, only the value of ignored pixels (255, or 65535 with 16 bits); in a mask, the "
            "first class is 1"
        )
    else:
        text = (
            "the masks are empty, all 0; write 1 for the first class, 2 for the second, or remove the masks if there "
            "are no true ones"
        )
    return [Cause("empty", text, enough)]


def _same_value(labels: np.ndarray, present: np.ndarray, ignored: np.ndarray, classes: Sequence[str]) -> list[Cause]:
    """All objects have one value, whatever their class."""
    values = np.flatnonzero(present.any(axis=0)).tolist()
    if len(values) != 1 or len(classes) == 1:
        return []
    value = values[0]
    others = labels.any(axis=1) & ~labels[:, value]
    # Also images labelled with that class and another one, unless the other may be among ignored pixels.
    named = others | (np.delete(labels, value, axis=1).any(axis=1) & (ignored == 0))
    shown = int(present[named, value].sum())
    for some in (named, others):  # if only one class was drawn, images of others have empty masks
        if some.any() and present[some].any(axis=1).mean() < 1 - EXPLAINS:
            return []
    if shown < FEWEST:
        return []
    text = (
        f"all objects are saved as {value + 1} ({classes[value]!r}), as in masks that only separate objects from "
        "background; write each class's own number"
    )
    return [Cause("value", text, _is_clear(shown, labels != present, labels, present))]


def _offset(labels: np.ndarray, present: np.ndarray, classes: Sequence[str]) -> list[Cause]:
    """The masks number the classes from 0, or from 2."""
    if len(classes) < 2:
        return []
    differ = (labels != present).any(axis=1)
    first, last = present[:, 0], present[:, -1]
    hypotheses = []
    if not last.any():
        text = (
            f"the masks number the classes from 0, so that 1 means {classes[1]!r}, and {classes[0]!r} cannot be "
            "distinguished from the background; write 0 only for the background, and 1 for the first class: add 1 to "
            "the values of objects"
        )
        hypotheses.append((labels[:, 1:], present[:, :-1], text))
    if first.all() or not first.any():
        background = ", with 1 for the background," if first.all() else ""
        text = (
            f"the masks number the classes from 2{background} so that 2 means {classes[0]!r}; write 0 for the "
            "background, and 1 for the first class: subtract 1 from the values above 0"
        )
        hypotheses.append((labels[:, :-1], present[:, 1:], text))
    for meant, shown, text in hypotheses:
        support = int((differ & (meant == shown).all(axis=1) & shown.any(axis=1)).sum())
        if support >= FEWEST and (meant != shown).sum() <= EXPLAINS * (labels != present).sum():
            return [Cause("order", text, _is_clear(support, labels != present, labels, present))]
    return []


def _order(
    labels: np.ndarray, present: np.ndarray, everywhere: tuple[np.ndarray, np.ndarray], classes: Sequence[str]
) -> list[Cause]:
    """The masks number the classes in another order: that of all masks, ``everywhere``, or only of these."""
    from scipy.optimize import linear_sum_assignment  # here, because planning imports this module: half a second

    for (all_present, all_labels), fewest in ((everywhere, FEWEST), ((present, labels), CLEAR_IMAGES)):
        mask, label = all_present.astype(np.float32), all_labels.astype(np.float32)
        both = mask.T @ label  # (K values, K labels): whole numbers, exact up to 2^24
        # Images that have only one of the two: their sum is what an order leaves unexplained.
        apart = mask.sum(axis=0)[:, None] + label.sum(axis=0)[None] - 2 * both
        values, meant = (side.tolist() for side in linear_sum_assignment(apart))
        explained = np.zeros_like(labels)
        explained[:, meant] = present[:, values]
        support = int(((labels != present).any(axis=1) & (labels == explained).all(axis=1)).sum())
        seen = [(v, k) for v, k in zip(values, meant, strict=True) if both[v, k] > 0]
        moved = [(v, k) for v, k in seen if v != k]
        if support < fewest or (labels != explained).sum() > EXPLAINS * (labels != present).sum() or not moved:
            continue
        pairs = ", ".join(f"{v + 1} goes with {classes[k]!r} (here {k + 1})" for v, k in moved[:6])
        text = f"the masks number the classes in another order: {pairs}{', ...' if len(moved) > 6 else ''}"
        if len(seen) == len(classes) <= 40:
            order = ", ".join(classes[k] for k in meant)
            text += f"; list 'dataset.classes' in the order of the masks' values, which would be [{order}]"
        return [Cause("order", text, _is_clear(support, labels != present, labels, present))]
    return []


def _shift(labels: np.ndarray, present: np.ndarray, rows: np.ndarray, orders: Sequence[np.ndarray]) -> list[Cause]:
    """Each image has the mask of another image, a few places before or after it in one of the orders."""
    for step in (way * far for far in range(1, FARTHEST + 1) for way in (1, -1)):
        for order in orders:
            cause = _shift_by(step, labels[order], present[order], rows[order])
            if cause is not None:
                return [cause]
    return []


def _shift_by(step: int, labels: np.ndarray, present: np.ndarray, rows: np.ndarray) -> Cause | None:
    # The mask at a place belongs to the image ``step`` places back.
    shifted = np.roll(labels, step, axis=0)
    inner = rows.copy()
    inner[slice(step) if step > 0 else slice(step, None)] = False
    differ, left = labels[inner] != present[inner], shifted[inner] != present[inner]
    support = int((differ.any(axis=1) & ~left.any(axis=1)).sum())
    fewest = FEWEST if abs(step) == 1 else CLEAR_IMAGES  # among few images, some shift fits by chance
    if support < fewest or left.sum() > EXPLAINS * differ.sum():
        return None
    where = "before" if step > 0 else "after"
    by, which = ("one image", where) if abs(step) == 1 else (f"{abs(step)} images", f"{abs(step)} places {where}")
    text = f"the masks are shifted by {by}: each fits the label of the image {which} its own"
    return Cause("shift", text, _is_clear(support, differ, labels[inner], present[inner]))


def _instances(labels: np.ndarray, present: np.ndarray) -> list[Cause]:
    """The masks number the objects of each image, whatever their classes."""
    values = present.sum(axis=1)
    gapless = (values > 0) & (present == (np.arange(present.shape[1]) < values[:, None])).all(axis=1)
    lacking = int((gapless & (labels & ~present).any(axis=1)).sum())
    if lacking < FEWEST or values.max() < 2 or gapless.sum() < (1 - EXPLAINS / 2) * (values > 0).sum():
        return []
    # Agreement by chance, given how many labels and masks have each class.
    chance = (labels.sum(axis=0) * present.sum(axis=0)).sum() / len(labels)
    if (labels & present).sum() - chance >= UNRELATED * (labels.sum() - chance):
        return []
    text = (
        "the values number the objects (instances) of each mask from 1, not the classes; write each class's own number"
    )
    return [Cause("instances", text, _is_clear(lacking, labels != present, labels, present))]


def _is_clear(support: int, differ: np.ndarray, labels: np.ndarray, present: np.ndarray) -> bool:
    return support >= CLEAR_IMAGES and bool(differ.sum() >= CLEAR_SHARE * (labels.sum() + present.sum()))
