"""Checks a folder of segment masks and writes a table of them, which pseudo labels are joined with."""

import hashlib
import os
from pathlib import Path
from typing import Any

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.sam_masks import FORM, OtherSize, Size, read_sam_masks, source_of_masks
from wsss_core.errors import UserError
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.progress import progress


def state_of_masks(folder: Path) -> str:
    """A digest of the names, sizes and times of a folder's files, which changes when masks are made again.

    Every file counts: overwriting one in place does not change its folder's time.
    """
    state = []
    for directory, folders, files in os.walk(folder):
        state += [(os.path.relpath(os.path.join(directory, name), folder), 0, 0) for name in folders]
        for name in files:
            path = os.path.join(directory, name)
            if name.endswith((".png", ".json")):
                try:
                    found = os.stat(path)
                except OSError:  # a link that leads nowhere
                    continue
                state.append((os.path.relpath(path, folder), found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr(sorted(state)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def index_sam_masks(folder: Path, index: DatasetIndex, segments_csv: Path, threads: int = 1) -> None:
    """Read all masks of the training images once, and write a table of their places.

    Args:
        folder: holds ``<image id>/*.png`` or ``<image id>.json``, of the size of the images in the index or of the
            original images, if those were shrunk. An image without any mask has an empty folder or list.
        index: the data set.
        segments_csv: the table to write: image id, and the folder or file of its masks.
        threads: processes that read masks.

    Raises:
        DatasetFaults: an image has no masks, or a mask cannot be read or has a wrong size or value; lists all.
    """
    train = index.split("train")
    image_ids = train.image_ids
    sizes = list(zip(train.original().sizes, train.sizes, strict=True))
    sources: dict[str, Path] = {}
    faults: list[Fault] = []

    def arguments(at: int) -> tuple[Any, ...]:
        return folder, image_ids[at], *sizes[at]

    with ImagePool(check_sam_masks, arguments, image_ids, threads) as pool:
        for at in progress(range(len(image_ids)), "Checking masks of segments"):
            source, fault = pool(at)
            if fault is None:
                sources[image_ids[at]] = Path(os.path.abspath(source))
            else:
                faults.append(fault)
    table = segments_csv.with_name("faults.csv")
    if faults:
        write_faults(table, faults)
        raise DatasetFaults(f"the masks of segments in {folder}", faults, table=table)
    table.unlink(missing_ok=True)
    write_label_manifest(sources, segments_csv)


def check_sam_masks(folder: Path, image_id: str, original: Size, size: Size) -> tuple[Path, Fault | None]:
    """The place of an image's masks, and the first fault, if any."""
    place = folder / image_id
    try:
        source = source_of_masks(folder, image_id)
        if source is None:
            detail = f"image {image_id!r} has no masks here; expected {FORM}"
            return place, Fault(FaultKind.MISSING_MASK, str(folder), detail, image_id)
        read_sam_masks(source, original, None if original == size else size)
        return source, None
    except UserError as error:
        kind = FaultKind.MASK_SIZE if isinstance(error, OtherSize) else FaultKind.BROKEN_MASK
        return place, Fault(kind, str(place), str(error).removeprefix(f"{place}: "), image_id)
