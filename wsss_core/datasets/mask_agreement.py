"""Masks against the image-level labels of their images: both describe the same thing, so they have to agree."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import SPLITS, DatasetIndex
from wsss_core.datasets.mask_causes import Cause, likely_causes
from wsss_core.files.atomic import atomic_path

COLUMNS = (
    *("split", "class", "images_with_label", "images_with_pixels"),
    *("pixels_without_label", "label_without_pixels", "pixels", "pixels_ignored"),
)
"""Of the table of counts: a row for each split and class."""
NEARLY_ALL = 0.9
"""From this share of labelled images on whose masks show none of their classes, the masks are refused; and from this
share on that differ, if many of them do both ways."""
BOTH_WAYS = 0.5
"""That many: masks that lack a class of the label and show another instead. Labels may be incomplete, but not so."""
FEWEST = 3
"""Fewer images than this prove nothing."""
FEWEST_DIFFERING = 5
"""Nor do fewer than this whose masks show some class of the label."""
MANY = 0.05
"""From this share of images on whose masks and labels differ, there is a warning."""
NAMED = 6
"""Classes that a message names."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskContent:
    """How many pixels a mask has of what."""

    classes: np.ndarray
    """int64 (K,): of each class, in class order."""
    ignored: int
    """Of the value that does not count."""
    lost: np.ndarray | None = None
    """int64 (K,): of those the ones that the data set's files say to be of a class; None if they say nothing of it."""


class MaskAgreement:
    """Gathers what masks show, and compares it with the labels."""

    def __init__(self, index: DatasetIndex) -> None:
        """Start without a mask.

        Args:
            index: the images and their labels.
        """
        self.index = index
        self.rows = {image_id: row for row, image_id in enumerate(index.image_ids)}
        self.labels = index.label_matrix  # (N, K)
        self.present = np.zeros_like(self.labels)
        self.has_mask = np.zeros(len(index), dtype=bool)
        self.ignored = np.zeros(len(index), dtype=np.int64)
        self.split = np.array(list(index.columns["split"]), dtype=object)
        self.pixels = {split: np.zeros(len(index.classes), dtype=np.int64) for split in SPLITS}
        self.lost = {split: np.zeros(len(index.classes), dtype=np.int64) for split in SPLITS}

    def add(self, image_id: str, content: MaskContent) -> None:
        """Add an image's mask."""
        row = self.rows[image_id]
        self.has_mask[row], self.present[row] = True, content.classes > 0
        self.ignored[row] = content.ignored
        split = self.split[row]
        self.pixels[split] += content.classes
        lost = content.lost
        if lost is None:  # whatever is ignored in place of a class that the label names may be that class
            lost = content.ignored * (self.labels[row] & ~self.present[row])
        self.lost[split] += lost

    def write(self, path: Path) -> None:
        """Write the counts as CSV: how many images of a split have the label of a class, show it in their masks, do one
        without the other; how many pixels the masks have of it, and how many ignored ones are, or may be, of it.
        """
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(COLUMNS)
            for split in SPLITS:
                labels, present = self._of(split)
                columns = (
                    *(labels.sum(axis=0), present.sum(axis=0)),
                    *((present & ~labels).sum(axis=0), (labels & ~present).sum(axis=0)),
                    *(self.pixels[split], self.lost[split]),
                )
                for name, *numbers in zip(self.index.classes, *columns, strict=True):
                    writer.writerow([split, name, *map(int, numbers)])

    def judge(self, root: Path, advice_on_ignored: str = "") -> tuple[list[Fault], list[Fault]]:
        """What is to be said of the masks.

        Args:
            root: the data set's folder, for messages.
            advice_on_ignored: what to do where pixels of classes are ignored, if that is known.

        Returns:
            Faults, after which the masks cannot be used, and warnings. The log has the counts of each split.
        """
        faults: list[Fault] = []
        warnings: list[Fault] = []
        of_all = self._causes(self.has_mask)  # a mistake that a small split hardly shows is clear in all images
        for split in SPLITS:
            if not self._rows(split).any():
                continue
            text = self._in_words(split)
            log.info("%s: %s", root, text)
            found = self._causes(self._rows(split))
            if self._many_disagree(split):
                by_kind = {cause.kind: cause for cause in sorted([*of_all, *found], key=lambda cause: cause.is_clear)}
                found = list(by_kind.values())
            detail = text + _causes_in_words(found)
            if self._nearly_all_contradict(split) or any(cause.is_clear for cause in found):
                faults.append(Fault(FaultKind.MASK_LABELS, str(root), detail))
            elif self._many_disagree(split):
                warnings.append(Fault(FaultKind.MASK_LABELS, str(root), detail))
            if ignored := self._ignored_in_words(split, advice_on_ignored):
                (faults if faults else warnings).append(Fault(FaultKind.IGNORED_CLASS, str(root), ignored))
        return faults, warnings

    def _causes(self, rows: np.ndarray) -> list[Cause]:
        """What explains the differences of these images, (N,) bool."""
        ids = self.index.image_ids
        orders = [np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=int), np.arange(len(ids))]
        return likely_causes(self.labels, self.present, rows, self.ignored, self.index.classes, orders, self.has_mask)

    def _rows(self, split: str) -> np.ndarray:
        """(N,) bool: the images of a split that have a mask."""
        return self.has_mask & (self.split == split)

    def _of(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and what masks show, (n, K) each, of the images of a split that have a mask."""
        rows = self._rows(split)
        return self.labels[rows], self.present[rows]

    def _disagreeing(self, split: str) -> np.ndarray:
        """(n,) bool: images whose label and mask differ."""
        labels, present = self._of(split)
        return np.asarray((labels != present).any(axis=1))

    def _nearly_all_contradict(self, split: str) -> bool:
        """Whether nearly no mask shows any class of its image's label, or nearly all differ and many both ways."""
        labels, present = self._of(split)
        labelled = labels.any(axis=1)
        nearly_all, many = NEARLY_ALL * labelled.sum(), BOTH_WAYS * labelled.sum()
        contradicting = labelled & ~(labels & present).any(axis=1)
        differing = labelled & (labels != present).any(axis=1)
        both_ways = (labels & ~present).any(axis=1) & (present & ~labels).any(axis=1)
        wrong = differing.sum() >= max(FEWEST_DIFFERING, nearly_all) and (both_ways & labelled).sum() >= many
        return bool(contradicting.sum() >= max(FEWEST, nearly_all) or wrong)

    def _many_disagree(self, split: str) -> bool:
        disagreeing = self._disagreeing(split)
        return bool(disagreeing.any() and disagreeing.mean() >= MANY)

    def _in_words(self, split: str) -> str:
        """How far masks and labels of a split agree, by class."""
        labels, present = self._of(split)
        disagreeing = self._disagreeing(split)
        said = f"{int(disagreeing.sum())} of {len(labels)} {split} masks differ from their image's label"
        if not disagreeing.any():
            return said
        first = int(np.flatnonzero(self._rows(split))[np.flatnonzero(disagreeing)[0]])
        shown, labelled = self._names(self.present[first]), self._names(self.labels[first])
        said += f" ('{self.index.image_ids[first]}': label {labelled}, mask {shown})"
        extra, lacking = (present & ~labels).sum(axis=0), (labels & ~present).sum(axis=0)
        worst = [k for k in np.argsort(-(extra + lacking), kind="stable") if extra[k] + lacking[k] > 0]
        by_class = [
            f"{self.index.classes[k]!r} is in {int(extra[k])} masks and not in the label, in {int(lacking[k])} labels "
            f"and without a pixel"
            for k in worst[:NAMED]
        ]
        more = f" (and {len(worst) - NAMED} more classes)" if len(worst) > NAMED else ""
        return f"{said}; {'; '.join(by_class)}{more}"

    def _names(self, which: np.ndarray) -> str:
        return " and ".join(repr(self.index.classes[k]) for k in np.flatnonzero(which)) or "no class"

    def _ignored_in_words(self, split: str, advice: str) -> str:
        """Classes of a split that lose as many pixels to the value that does not count as they have, or more."""
        lost, pixels = self.lost[split], self.pixels[split]
        losing = [k for k in np.argsort(-lost, kind="stable") if lost[k] > 0 and lost[k] >= pixels[k]]
        if not losing:
            return ""
        told = [f"{self.index.classes[k]!r} ({lost[k]:,} ignored, {pixels[k]:,} left)" for k in losing[:NAMED]]
        more = f" and {len(losing) - NAMED} more" if len(losing) > NAMED else ""
        return f"in {split} masks most pixels are ignored of {', '.join(told)}{more}{advice}"


def _causes_in_words(causes: Sequence[Cause]) -> str:
    return f". Likely cause: {'; or '.join(cause.text for cause in causes)}" if causes else ""
