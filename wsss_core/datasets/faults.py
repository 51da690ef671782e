"""All faults of a data set, in one message instead of one per run."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path


class FaultKind(StrEnum):
    """What can be wrong. The value is the heading in the message."""

    LAYOUT = "a folder or list is missing"
    LIST = "an image list cannot be used"
    TABLE = "a table cannot be read"
    TABLE_ROW = "a row of a table cannot be used"
    IMAGE_ID = "an image id cannot be used"
    REPEATED_ID = "an image id is listed twice in a list"
    SHARED_ID = "an image id is in both splits"
    MISSING_IMAGE = "an image is missing"
    BROKEN_IMAGE = "an image cannot be read"
    MISSING_ANNOTATION = "an annotation is missing"
    BROKEN_ANNOTATION = "an annotation cannot be read"
    UNKNOWN_CLASS = "an object's class is not in the class list"
    NO_CLASS = "an image has no class at all"
    MISSING_MASK = "a mask is missing"
    BROKEN_MASK = "a mask cannot be read"
    MASK_SIZE = "a mask and its image differ in size"
    MASK_VALUES = "a mask has values beyond the class list"
    MASK_LABELS = "masks and labels disagree"
    MISSING_SALIENCY = "a saliency map is missing"
    BROKEN_SALIENCY = "a saliency map cannot be used"
    SALIENCY_SIZE = "a saliency map and its image differ in size"
    IGNORED_CLASS = "pixels of a class are ignored"
    ODD_LABEL = "a label may not be a class name"
    UNUSED_COLUMN = "a column of a table is not used"
    SPLIT_FOLDERS = "folders are named like splits but not used as splits"
    ALIKE_CLASSES = "classes have nearly the same name"
    UNLISTED_IMAGE = "an image is in no list"
    RARE_CLASS = "a class has few training images"
    IN_EVERY_IMAGE = "a class is in every training image"
    TINY_IMAGE = "an image is tiny"
    FEW_LEVELS = "an image has few levels of brightness"
    FEW_BITS = "images do not use all of their 16 bits"
    LIST_LENGTH = "an image list has an unusual length"
    OTHER_SIZE = "an image's size differs from what its annotation says"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in one file."""

    kind: FaultKind
    """What is wrong, in general."""
    file: str
    """The file or folder to look at."""
    detail: str
    """What is wrong there and what would be right."""
    image_id: str | None = None
    """The image at fault, which could be left out; empty for a table row without an image; None if the whole data set
    is at fault."""

    @property
    def text(self) -> str:
        """The detail, preceded by the image id unless the detail or the file name already contains it."""
        name = self.image_id or ""
        in_detail = repr(name) in self.detail or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self.detail) is not None
        named = in_detail or name.rpartition("/")[2] == Path(self.file).stem
        return self.detail if named or not name else f"{name!r}: {self.detail}"


class DatasetFaults(UserError):
    """All faults of a data set; the message groups them by kind.

    Attributes:
        faults: every fault, including those that the message leaves out.
    """

    def __init__(
        self,
        subject: str,
        faults: Sequence[Fault],
        printed_per_kind: int = 50,
        table: Path | str | None = None,
        can_skip: bool = False,
    ) -> None:
        """Compose the message.

        Args:
            subject: what was checked, such as ``the data set data/voc``.
            faults: at least one fault, in any order.
            printed_per_kind: how many faults of one kind the message lists.
            table: the file that lists all faults; the message names it.
            can_skip: whether images with a fault can be left out.
        """
        self.faults = list(faults)
        self._arguments = (subject, self.faults, printed_per_kind, table, can_skip)
        lines = _lines(subject, self.faults, printed_per_kind)
        if table is not None:
            lines += ["", f"All of them, as a table: {table}"]
        if can_skip and all(fault.image_id is not None for fault in faults):
            lines += ["", "Fix them, or continue without these images: 'dataset.on_fault: skip'."]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type["DatasetFaults"], tuple[str, list[Fault], int, Path | str | None, bool]]:
        """Keep the faults when pickled, as in a worker process."""
        return type(self), self._arguments


def write_faults(path: Path | str, faults: Sequence[Fault]) -> None:
    """Write faults as a CSV file with the columns image_id (empty: the whole data set), kind, file and detail."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as table,
    ):
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["image_id", "kind", "file", "detail"])
        writer.writerows([fault.image_id or "", str(fault.kind), fault.file, fault.detail] for fault in faults)


def _lines(subject: str, faults: Sequence[Fault], printed_per_kind: int) -> list[str]:
    lines = [f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {subject}:"]
    for kind in FaultKind:
        of_kind = [fault for fault in faults if fault.kind == kind]
        if not of_kind:
            continue
        lines += ["", f"{kind} ({len(of_kind)}):"]
        lines += [f"  {fault.file}: {fault.text}" for fault in of_kind[:printed_per_kind]]
        if len(of_kind) > printed_per_kind:
            lines.append(f"  ... and {len(of_kind) - printed_per_kind} more")
    return lines
