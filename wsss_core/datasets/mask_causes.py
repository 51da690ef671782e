"""Why masks and labels may differ: the mistakes that people make, told by which of them explains the difference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 3
"""A cause that fewer images speak for is not told."""
CLEAR_IMAGES = 5
"""A cause that so many images speak for may be a reason to refuse masks."""
CLEAR_SHARE = 0.2
"""The same of all labels and masks that differ."""
EXPLAINS = 0.25
"""A cause leaves at most this share of the differences."""
FARTHEST = 3
"""Images that masks may be shifted by."""
UNRELATED = 0.3
"""Labels and masks that agree by less of what chance leaves (0: as by chance, 1: wholly) do not describe the same."""


@dataclass(frozen=True)
class Cause:
    """A mistake that explains the differences."""

    kind: str
    """One word; of one kind, only one cause is told."""
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
    masks: np.ndarray | None = None,
) -> list[Cause]:
    """The mistakes that explain why masks and labels of images differ.

    Args:
        labels: bool (N, K), which image is labelled with which class.
        present: bool (N, K), which classes its mask shows.
        rows: bool (N,), the images with a mask that are looked at.
        ignored: (N,), pixels that do not count.
        classes: the K names.
        orders: int (N,) each, positions of the images in orders that a shift may follow.
        masks: bool (N,), all images with a mask: where these images' masks fit the order that all masks have, it is
            that one which is told. None for ``rows``.

    Returns:
        Those that explain it, none if nothing does or there is nothing to explain.
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
    return [Cause("empty", text, enough)]


def _same_value(labels: np.ndarray, present: np.ndarray, ignored: np.ndarray, classes: Sequence[str]) -> list[Cause]:
    """All objects have one value, whatever their class."""
    values = np.flatnonzero(present.any(axis=0)).tolist()
    if len(values) != 1 or len(classes) == 1:
        return []
    value = values[0]
    others = labels.any(axis=1) & ~labels[:, value]
    # Labelled with that class and another one, which may also be what is ignored.
    named = others | (np.delete(labels, value, axis=1).any(axis=1) & (ignored == 0))
    shown = int(present[named, value].sum())
    for some in (named, others):  # where only one class was drawn, images of others have empty masks
        if some.any() and present[some].any(axis=1).mean() < 1 - EXPLAINS:
            return []
    if shown < FEWEST:
        return []
    text = (
        f"all objects are saved as {value + 1} ({classes[value]!r}), as in masks that tell objects from "
        "background alone; write each class's own number"
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
            f"the masks number the classes from 0, so that 1 stands for {classes[1]!r}, and {classes[0]!r} cannot be "
            "told from the background; write 0 for the background alone, and 1 for the first class: add 1 to the "
            "values of objects"
        )
        hypotheses.append((labels[:, 1:], present[:, :-1], text))
    if first.all() or not first.any():
        background = ", with 1 for the background," if first.all() else ""
        text = (
            f"the masks number the classes from 2{background} so that 2 stands for {classes[0]!r}; write 0 for the "
            "background, and 1 for the first class: take 1 off the values above 0"
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
    """The masks number the classes in another order: that of all masks, ``everywhere``, or of these alone."""
    from scipy.optimize import linear_sum_assignment  # here, as planning imports this module: half a second

    for (all_present, all_labels), fewest in ((everywhere, FEWEST), ((present, labels), CLEAR_IMAGES)):
        mask, label = all_present.astype(np.float32), all_labels.astype(np.float32)
        both = mask.T @ label  # (K values, K labels): whole numbers, exact up to 2^24
        # Images that have one of the two without the other: their sum is what an order leaves unexplained.
        apart = mask.sum(axis=0)[:, None] + label.sum(axis=0)[None] - 2 * both
        values, meant = (side.tolist() for side in linear_sum_assignment(apart))
        explained = np.zeros_like(labels)
        explained[:, meant] = present[:, values]
        support = int(((labels != present).any(axis=1) & (labels == explained).all(axis=1)).sum())
        seen = [(v, k) for v, k in zip(values, meant, strict=True) if both[v, k] > 0]
        moved = [(v, k) for v, k in seen if v != k]
        if support < fewest or (labels != explained).sum() > EXPLAINS * (labels != present).sum() or not moved:
            continue
        told = ", ".join(f"{v + 1} goes with {classes[k]!r} (here {k + 1})" for v, k in moved[:6])
        text = f"the masks number the classes in another order: {told}{', ...' if len(moved) > 6 else ''}"
        if len(seen) == len(classes) <= 40:
            order = ", ".join(classes[k] for k in meant)
            text += f"; 'dataset.classes' has the names in the order of the masks' values, which would be [{order}]"
        return [Cause("order", text, _is_clear(support, labels != present, labels, present))]
    return []


def _shift(labels: np.ndarray, present: np.ndarray, rows: np.ndarray, orders: Sequence[np.ndarray]) -> list[Cause]:
    """Each image has the mask of one a few places before or after it, in one of the orders."""
    for step in (way * far for far in range(1, FARTHEST + 1) for way in (1, -1)):
        for order in orders:
            cause = _shift_by(step, labels[order], present[order], rows[order])
            if cause is not None:
                return [cause]
    return []


def _shift_by(step: int, labels: np.ndarray, present: np.ndarray, rows: np.ndarray) -> Cause | None:
    # The mask at a place is the one of the image so many steps back.
    shifted = np.roll(labels, step, axis=0)
    inner = rows.copy()
    inner[slice(step) if step > 0 else slice(step, None)] = False
    differ, left = labels[inner] != present[inner], shifted[inner] != present[inner]
    support = int((differ.any(axis=1) & ~left.any(axis=1)).sum())
    fewest = FEWEST if abs(step) == 1 else CLEAR_IMAGES  # among few images, some shift or other fits by chance
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
    # What chance makes of both, with so many labels and masks of each class.
    chance = (labels.sum(axis=0) * present.sum(axis=0)).sum() / len(labels)
    if (labels & present).sum() - chance >= UNRELATED * (labels.sum() - chance):
        return []
    text = (
        "the values are numbers of objects (instances), 1 and up in each mask whatever it shows, not of classes; write "
        "each class's own number"
    )
    return [Cause("instances", text, _is_clear(lacking, labels != present, labels, present))]


def _is_clear(support: int, differ: np.ndarray, labels: np.ndarray, present: np.ndarray) -> bool:
    return support >= CLEAR_IMAGES and bool(differ.sum() >= CLEAR_SHARE * (labels.sum() + present.sum()))
