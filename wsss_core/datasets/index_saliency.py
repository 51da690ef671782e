"""Checks a folder of saliency maps and writes a table of them for making pseudo labels."""

import csv
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_ids import find_image_files
from wsss_core.datasets.images import read_saliency_map
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.shrinking import Size
from wsss_core.datasets.table_file import damaged_table, read_table
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode
from wsss_core.jobs.progress import progress

COLUMNS = ["image_id", "saliency_map", "content"]
"""The table's columns. The last is a digest of the pixels, so that the table changes when a map does."""
SHRUNKEN = "shrunken"
"""Folder, next to the table, of the maps of images that were shrunk."""
FEW_LEVELS = 1
"""If no map of the data set has a larger value, the maps go from 0 to 1 in place of 0 to 255."""
log = logging.getLogger(__name__)


def index_saliency(folder: Path, index: DatasetIndex, saliency_csv: Path, threads: int = 1) -> None:
    """Check the saliency maps of a data set's training images, and write the table of them.

    A map has its original image's size. Maps of images that were shrunk are shrunk to the same size, averaging over
    what each new pixel covers, and written as PNG files next to the table.

    Args:
        folder: holds ``<image id>.png``, in subfolders if the id has a ``/``. Maps of other images may be there.
        index: the data set.
        saliency_csv: the table to write: image id, file, and a digest of the map's pixels.
        threads: processes that read maps.

    Raises:
        DatasetFaults: a training image has no map, or its map cannot be read, is not 8-bit grey, or has another size;
            lists all. Or no map has a value above 1.
    """
    train = index.split("train")
    image_ids, originals = train.image_ids, train.original().sizes
    files, doubled = _maps_in(folder)
    targets = [saliency_csv.parent / SHRUNKEN / f"{image_id}.png" for image_id in image_ids]
    there = [at for at, image_id in enumerate(image_ids) if image_id in files]

    sizes = train.sizes

    def arguments(at: int) -> tuple[str, Path, Path, Size, Size]:
        row = there[at]
        return image_ids[row], files[image_ids[row]], targets[row], originals[row], sizes[row]

    faults = [doubled[image_id] for image_id in image_ids if image_id in doubled]
    faults += _missing(folder, files, [image_id for image_id in image_ids if image_id not in doubled])
    table: dict[str, tuple[Path, str]] = {}
    largest = 0
    threads = processes_to_decode(len(there), threads, shrink=originals != sizes)
    with ImagePool(check_saliency_map, arguments, [image_ids[row] for row in there], threads) as pool:
        for at in progress(range(len(there)), "Checking saliency maps"):
            image_id, row = image_ids[there[at]], there[at]
            checked = pool(at)
            if isinstance(checked, Fault):
                faults.append(checked)
                continue
            largest = max(largest, checked.largest)
            shrunken = sizes[row] != originals[row]
            place = Path(SHRUNKEN, f"{image_id}.png") if shrunken else Path(os.path.abspath(files[image_id]))
            table[image_id] = place, checked.digest
    if table and largest <= FEW_LEVELS and not faults:
        detail = f"no map has a value above {largest}; a saliency map goes from 0 (background) to 255 (salient)"
        faults.append(Fault(FaultKind.BROKEN_SALIENCY, str(folder), detail))
    faults_csv = saliency_csv.with_name("faults.csv")
    if faults:
        write_faults(faults_csv, faults)
        raise DatasetFaults(f"the saliency maps in {folder}", faults, table=faults_csv)
    faults_csv.unlink(missing_ok=True)
    if strangers := sorted(files.keys() - set(index.image_ids)):
        log.warning("%s: belongs to no image (%d files like it)", files[strangers[0]], len(strangers))
    with atomic_path(saliency_csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((image_id, *entry) for image_id, entry in table.items())


def read_saliency_table(saliency_csv: Path | str) -> dict[str, Path]:
    """The saliency maps that :func:`index_saliency` has listed, by image id.

    Raises:
        UserError: the table cannot be read, or is of another kind.
    """
    heading, *rows = read_table(saliency_csv)
    if heading != COLUMNS:
        raise UserError(f"{saliency_csv}: is not a list of saliency maps; its columns must be {', '.join(COLUMNS)}")
    maps: dict[str, Path] = {}
    for number, (image_id, saliency_map, _) in enumerate(rows, start=2):
        if not image_id or not saliency_map or "\0" in saliency_map or image_id in maps:
            raise damaged_table(saliency_csv, f"row {number} lacks an image or a file, or repeats an image")
        maps[image_id] = Path(saliency_csv).parent / saliency_map
    return maps


def _maps_in(folder: Path) -> tuple[dict[str, Path], dict[str, Fault]]:
    """The files by image id (the PNG file if there are several), and a fault by image id for several without a PNG.

    Files of other formats are kept: reading them raises an error that says what a map is.
    """
    found = find_image_files(folder)
    files, doubled = dict(found.files), {}
    for fault in found.faults:
        if fault.image_id and (png := folder / f"{fault.image_id}.png").exists():
            files[fault.image_id] = png
        elif fault.image_id:
            doubled[fault.image_id] = replace(fault, kind=FaultKind.BROKEN_SALIENCY)
    return files, doubled


def _missing(folder: Path, files: Mapping[str, Path], image_ids: Sequence[str]) -> list[Fault]:
    """Training images without a map."""
    detail = "this training image has no saliency map; each needs one"
    return [
        Fault(FaultKind.MISSING_SALIENCY, str(folder / f"{image_id}.png"), f"{image_id!r}: {detail}", image_id)
        for image_id in image_ids
        if image_id not in files
    ]


@dataclass(frozen=True)
class _CheckedMap:
    """What a check of a right map has found."""

    digest: str
    """Of the pixels that are used, perhaps shrunk."""
    largest: int
    """Its largest value."""


def check_saliency_map(image_id: str, source: Path, target: Path, size: Size, smaller: Size) -> _CheckedMap | Fault:
    """Read a map and check it; if its image was shrunk, write it to ``target`` at the size ``smaller``."""
    try:
        saliency = read_saliency_map(source)
    except UserError as error:
        return Fault(FaultKind.BROKEN_SALIENCY, str(source), str(error).removeprefix(f"{source}: "), image_id)
    if saliency.shape != tuple(size):
        found, wanted = (f"{height} high and {width} wide" for height, width in (saliency.shape, size))
        before = ", before it is shrunk" if smaller != size else ""
        detail = f"is {found}; its image, upright, is {wanted}{before}"
        return Fault(FaultKind.SALIENCY_SIZE, str(source), detail, image_id)
    largest = int(saliency.max())
    used = saliency.tobytes()
    if smaller != size:
        small = Image.fromarray(saliency).resize((smaller[1], smaller[0]), Image.Resampling.BILINEAR)
        with atomic_path(target) as temporary:
            small.save(temporary, format="PNG")
        used = small.tobytes()
    return _CheckedMap(hashlib.sha256(used).hexdigest()[:16], largest)
