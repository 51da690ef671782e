"""The split of each image of a folder: from a table, or drawn by the images' ids."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.folder.csv_table import read_csv_table
from wsss_core.datasets.folder.label_table import IMAGE_COLUMNS
from wsss_core.datasets.image_ids import ImageFiles
from wsss_core.errors import UserError

SPLIT_COLUMNS = frozenset({"split", "splits", "set", "subset", "part", "partition", "fold"})
"""Names, folded, of the column of splits."""
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The names of the splits in a table, lower case."""


@dataclass
class FolderSplits:
    """Which image is in which split."""

    splits: dict[str, str] = field(default_factory=dict)
    """``train``, ``val`` or ``test`` by image id."""
    faults: list[Fault] = field(default_factory=list)
    """What is wrong with the table."""


def read_splits(path: Path, images: ImageFiles) -> FolderSplits:
    """Read a table with a column of images and one of splits; image names have the same forms as in the label table.

    Args:
        path: the file.
        images: the images there are.
    """
    read = FolderSplits()

    def table_fault(detail: str) -> FolderSplits:
        read.faults.append(Fault(FaultKind.TABLE, str(path), detail))
        return read

    try:
        table = read_csv_table(path, IMAGE_COLUMNS)
    except UserError as error:
        return table_fault(str(error).removeprefix(f"{path}: "))
    names, parts = table.column(IMAGE_COLUMNS), table.column(SPLIT_COLUMNS)
    if len(names) != 1 or len(parts) != 1:
        return table_fault(f"has the columns {', '.join(map(repr, table.heading))}; expected 'image' and 'split'")
    if not table.rows:
        return table_fault("has a heading but no row; expected a row for each image, or no such file at all")
    lines: dict[str, int] = {}
    for row in table.rows:
        place = table.at(row.line)
        if row.fault is not None:
            read.faults.append(Fault(FaultKind.TABLE_ROW, place, row.fault, ""))
            continue
        name, word = row.cells[names[0]], row.cells[parts[0]].strip()
        image_id = images.find(name)
        split = SPLIT_NAMES.get(word.casefold())
        if split is None:
            detail = f"has the split {word!r}; expected train, val or test"
            read.faults.append(Fault(FaultKind.TABLE_ROW, place, detail, image_id or name))
        if image_id is None:
            read.faults.append(Fault(FaultKind.MISSING_IMAGE, place, images.missing(name), name))
        elif split is not None and image_id in lines:
            kind = FaultKind.REPEATED_ID if read.splits[image_id] == split else FaultKind.SHARED_ID
            detail = f"{image_id!r} is in line {lines[image_id]} already, in {read.splits[image_id]}; keep one of them"
            read.faults.append(Fault(kind, place, detail, image_id))
        elif split is not None:
            read.splits[image_id], lines[image_id] = split, row.line
    return read


def drawn_splits(image_ids: Collection[str], val_share: float, seed: int) -> dict[str, str]:
    """Draw a validation split.

    An image is in it if the SHA-256 digest of ``<seed>:<id>``, as a number in [0, 1), is below ``val_share``. So an
    image's split does not depend on other images, unless a split would be empty: it gets the image nearest to it.

    Args:
        image_ids: the images' ids.
        val_share: expected share of the validation images.
        seed: draws another split.

    Returns:
        ``train`` or ``val`` by image id.
    """
    place = {image_id: _place(image_id, seed) for image_id in image_ids}
    splits = {image_id: "val" if place[image_id] < val_share else "train" for image_id in image_ids}
    if len(splits) > 1 and len(set(splits.values())) == 1:
        if "val" not in splits.values():
            splits[min(place, key=lambda image_id: place[image_id])] = "val"
        else:
            splits[max(place, key=lambda image_id: place[image_id])] = "train"
    return splits


def _place(image_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{image_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
