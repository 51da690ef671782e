"""Checks a single mask: whether it can be read, its size and its values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_values import MOST_OF_8_BITS, ignored_in, of_classes
from wsss_core.datasets.mask_agreement import MaskContent
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.raw_dataset import MaskSource
from wsss_core.datasets.shrinking import shrink_mask
from wsss_core.errors import UserError

FAR_BEYOND = 100
"""The values of a mask with more than this many times its image's pixels are not checked."""
Found = tuple[FaultKind, str]
"""One fault of a mask: its kind and the detail."""


@dataclass(frozen=True)
class CheckedMask:
    """What a check of a mask has found."""

    found: list[Found]
    """What is wrong."""
    content: MaskContent | None = None
    """What the mask shows, if nothing is wrong."""


def check_mask(
    source: MaskSource,
    drawn: Path | None,
    size: Size,
    classes: Sequence[str],
    smaller: Size | None = None,
    lost: Callable[[np.ndarray, int], np.ndarray | None] = lambda mask, classes: None,
) -> CheckedMask:
    """Read or draw a mask and check it; a right one is written to ``drawn``, if given.

    If its image was shrunk to ``smaller``, the mask is shrunk too, unless it was drawn on the smaller image.
    """
    try:
        mask = read_mask(source) if isinstance(source, Path) else source()
        found = _faults_of_mask(mask, size, classes, smaller)
        if found:
            return CheckedMask(found)
        mask = of_classes(mask, len(classes))
        mask = mask if smaller is None or mask.shape == tuple(smaller) else shrink_mask(mask, smaller)
        if drawn is not None and source != drawn:
            write_label_map(drawn, mask)
        counts = np.bincount(mask.ravel(), minlength=len(classes) + 1)[1 : len(classes) + 1].astype(np.int64)
        ignored = int((mask == ignored_in(mask)).sum())
        return CheckedMask([], MaskContent(counts, ignored, lost(mask, len(classes)) if ignored else None))
    except UserError as error:
        return CheckedMask([(FaultKind.BROKEN_MASK, str(error))])


def _faults_of_mask(mask: np.ndarray, size: Size, classes: Sequence[str], smaller: Size | None) -> list[Found]:
    """What is wrong with a mask, before it is shrunk."""
    found = []
    if size != (0, 0) and mask.shape not in (tuple(size), smaller and tuple(smaller)):
        or_shrunk = "" if smaller is None else f", and {_in_words(smaller)} when shrunk"
        detail = f"is {_in_words(mask.shape)}; its image, upright, is {_in_words(size)}{or_shrunk}"
        found.append((FaultKind.MASK_SIZE, detail))
        if mask.size > FAR_BEYOND * size[0] * size[1]:
            return found  # its values may need more memory than there is
    if mask.dtype == np.uint16 and len(classes) <= MOST_OF_8_BITS:
        detail = "has 16-bit grey, which is only for more than 254 classes; save it as 8-bit PNG"
        return [*found, (FaultKind.BROKEN_MASK, detail)]
    beyond = _values_beyond(mask, len(classes))
    if beyond:
        shown = ", ".join(map(str, beyond[:8])) + (", ..." if len(beyond) > 8 else "")
        allowed = f"0 (background) to {len(classes)} ({classes[-1]}) and {ignored_in(mask)} (ignored)"
        found.append((FaultKind.MASK_VALUES, f"has the values {shown}; allowed are {allowed}"))
    return found


def _values_beyond(mask: np.ndarray, classes: int) -> list[int]:
    values = np.flatnonzero(np.bincount(mask.ravel()))
    return [int(value) for value in values if value > classes and value != ignored_in(mask)]


def _in_words(size: Sequence[int]) -> str:
    return f"{size[0]} high and {size[1]} wide"
