"""Compares masks with the image-level labels of their images: both describe the same thing, so they have to agree."""

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
"""Columns of the table of counts, which has a row for each split and class."""
NEARLY_ALL = 0.9
"""Masks are refused if at least this share of labelled images have masks with none of their classes; also if this share
have masks that differ, and ``BOTH_WAYS`` of them lack a class and show another."""
BOTH_WAYS = 0.5
"""Share of labelled images whose masks lack a class of the label and show another: too many for incomplete labels."""
FEWEST = 3
"""Fewer images than this prove nothing."""
FEWEST_DIFFERING = 5
"""The same for images with masks that show some class of the label."""
MANY = 0.05
"""A warning is given if masks and labels differ in at least this share of images."""
NAMED = 6
"""A message names at most this many classes."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskContent:
    """Pixel counts of a mask."""

    classes: np.ndarray
    """int64 (K,): pixels of each class, in class order."""
    ignored: int
    """Ignored pixels."""
    lost: np.ndarray | None = None
    """int64 (K,): ignored pixels that the data set's files assign to each class; None if the files do not say."""


class MaskAgreement:
    """Collects what masks show, and compares it with the labels."""

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
        if lost is None:  # ignored pixels may be of any labelled class that the mask lacks
            lost = content.ignored * (self.labels[row] & ~self.present[row])
        self.lost[split] += lost

    def write(self, path: Path) -> None:
        """Write the counts as CSV, for each split and class.

        They are the images with the label, those with pixels of the class, and those with only one of the two; the
        pixels of the class; and the ignored pixels that are, or may be, of the class.
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
        """Find faults in the masks; logs the counts of each split.

        Args:
            root: the data set's folder, for messages.
            advice_on_ignored: what to do if pixels of classes are ignored, if known.

        Returns:
            Faults, with which the masks cannot be used; and warnings.
        """
        faults: list[Fault] = []
        warnings: list[Fault] = []
        of_all = self._causes(self.has_mask)  # a mistake that is hard to see in a small split is clear in all images
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
        """The likely causes of the differences in these images, (N,) bool."""
        ids = self.index.image_ids
        orders = [np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=int), np.arange(len(ids))]
        return likely_causes(self.labels, self.present, rows, self.ignored, self.index.classes, orders, self.has_mask)

    def _rows(self, split: str) -> np.ndarray:
        """(N,) bool: the images of a split that have a mask."""
        return self.has_mask & (self.split == split)

    def _of(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and classes in masks, bool (n, K) each, of the images of a split that have a mask."""
        rows = self._rows(split)
        return self.labels[rows], self.present[rows]

    def _disagreeing(self, split: str) -> np.ndarray:
        """(n,) bool: images whose label and mask differ."""
        labels, present = self._of(split)
        return np.asarray((labels != present).any(axis=1))

    def _nearly_all_contradict(self, split: str) -> bool:
        """Whether nearly all masks show no class of their image's label, or nearly all differ and many both ways."""
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
        """How masks and labels of a split differ, by class."""
        labels, present = self._of(split)
        disagreeing = self._disagreeing(split)
        text = f"{int(disagreeing.sum())} of {len(labels)} {split} masks differ from their image's label"
        if not disagreeing.any():
            return text
        first = int(np.flatnonzero(self._rows(split))[np.flatnonzero(disagreeing)[0]])
        shown, labelled = self._names(self.present[first]), self._names(self.labels[first])
        text += f" ('{self.index.image_ids[first]}': label {labelled}, mask {shown})"
        extra, lacking = (present & ~labels).sum(axis=0), (labels & ~present).sum(axis=0)
        worst = [k for k in np.argsort(-(extra + lacking), kind="stable") if extra[k] + lacking[k] > 0]
        by_class = [
            f"{self.index.classes[k]!r} is in {int(extra[k])} masks and not in the label, in {int(lacking[k])} labels "
            f"and not in the mask"
            for k in worst[:NAMED]
        ]
        more = f" (and {len(worst) - NAMED} more classes)" if len(worst) > NAMED else ""
        return f"{text}; {'; '.join(by_class)}{more}"

    def _names(self, which: np.ndarray) -> str:
        return " and ".join(repr(self.index.classes[k]) for k in np.flatnonzero(which)) or "no class"

    def _ignored_in_words(self, split: str, advice: str) -> str:
        """Classes of a split with at least as many ignored as counted pixels."""
        lost, pixels = self.lost[split], self.pixels[split]
        losing = [k for k in np.argsort(-lost, kind="stable") if lost[k] > 0 and lost[k] >= pixels[k]]
        if not losing:
            return ""
        named = [f"{self.index.classes[k]!r} ({lost[k]:,} ignored, {pixels[k]:,} left)" for k in losing[:NAMED]]
        more = f" and {len(losing) - NAMED} more" if len(losing) > NAMED else ""
        return f"in {split} masks most pixels are ignored of {', '.join(named)}{more}{advice}"


def _causes_in_words(causes: Sequence[Cause]) -> str:
    return f". Likely cause: {'; or '.join(cause.text for cause in causes)}" if causes else ""
