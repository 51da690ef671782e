"""What corrected masks were worth: an experiment with them next to the same one without them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.label_values import ignored_in

VAL = "val"
IOU = "iou_"


@dataclass(frozen=True)
class Correction:
    """An experiment whose segmenter is trained on corrected masks."""

    experiment: str
    masks: int
    """Number of corrected masks."""
    folder: str
    """Where they come from."""
    changed: float | None
    """Share of these images' pixels, in percent, whose pseudo label was another one; None without pseudo labels."""
    without: str | None
    """The same experiment without the corrections; None if the configuration has none."""
    scores: Sequence[tuple[str, float, float]]
    """mIoU and IoU by class, in percent, on the validation images: what is scored, the score without the corrections
    and the score with them. Empty without masks, or without an experiment to compare with."""


def corrections(described: Sequence[Mapping[str, Any]]) -> list[Correction]:
    """Compare each experiment with corrections to the same one without them.

    Args:
        described: see :func:`wsss_core.plan.descriptions.described_corrections`.
    """
    found = []
    for one in described:
        masks = read_label_manifest([one["masks"]])
        pseudo = read_label_manifest(one["pseudo_labels"])
        changed = [_changed(read_mask(masks[name]), read_mask(pseudo[name])) for name in masks if name in pseudo]
        other, counted = (sum(counts) for counts in zip(*changed, strict=True)) if changed else (0, 0)
        scores = _scores(one["scores_without"], one["scores"])
        share = 100 * other / counted if counted else None
        found.append(Correction(one["experiment"], len(masks), one["folder"], share, one["without"], scores))
    return found


def _changed(mask: np.ndarray, pseudo: np.ndarray) -> tuple[int, int]:
    """Number of pixels that the mask labels differently, and of all that it labels."""
    counted = mask != ignored_in(mask)
    return int(np.count_nonzero((mask != pseudo) & counted)), int(np.count_nonzero(counted))


def _scores(without: str | None, corrected: str | None) -> list[tuple[str, float, float]]:
    if without is None or corrected is None:
        return []
    before, after = (pandas.read_csv(file).iloc[0] for file in (without, corrected))
    columns = ["miou", *(column for column in after.index if column.startswith(IOU))]
    rows = [(column, before.get(column), after[column]) for column in columns]
    return [
        ("mIoU" if column == "miou" else column.removeprefix(IOU), 100 * float(old), 100 * float(new))
        for column, old, new in rows
        if not (pandas.isna(old) or pandas.isna(new))
    ]
