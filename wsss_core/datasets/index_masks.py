"""From a data set's masks, whatever their format, to a checked table of PNG files that scoring reads."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.label_values import MOST_OF_8_BITS, ignored_in, of_classes
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.raw_dataset import MaskSource, RawDataset
from wsss_core.errors import UserError
from wsss_core.image_pool import ImagePool
from wsss_core.progress import progress
from wsss_core.resume import PartialWork

DRAWN = "drawn"
"""Folder, beside the table, of the masks that lie in no PNG file and were drawn."""
Checked = tuple[FaultKind, str] | None
"""What is wrong with a mask, if something is."""
log = logging.getLogger(__name__)


def index_masks(
    raw: RawDataset, index: DatasetIndex, masks_csv: Path | str, skipped_csv: Path | str, threads: int = 1
) -> None:
    """Check the masks of a data set and write the table of them, which scoring reads.

    Masks that are no PNG files (polygons, run lengths, ...) are drawn once, as PNG files beside the table. Any
    training image may lack a mask. Validation images have all a mask, or none has one.

    Args:
        raw: the data set; ``raw.settings.on_fault`` says whether faulty masks stop this or are left out.
        index: its images.
        masks_csv: where the table goes: image id and mask file of the images with a mask.
        skipped_csv: where the masks that were left out go, and why; with the heading alone if none was.
        threads: processes that read and draw masks.

    Raises:
        DatasetFaults: a mask cannot be read, has another size than its (upright) image, has
            values other than 0..K and 255, or is missing; lists all such masks.
    """
    masks_csv = Path(masks_csv)
    sources = list(raw.masks(index))
    targets = [None if isinstance(s, Path) else masks_csv.parent / DRAWN / f"{image_id}.png" for image_id, s in sources]
    partial_work = PartialWork(masks_csv.parent, "masks", [path for path in raw.mask_inputs() if path.exists()])
    finished = partial_work.path("finished.txt")
    done = set(finished.read_text(encoding="utf-8").split("\n")[:-1]) if finished.exists() else set()
    masks: dict[str, Path] = {}
    faults: list[Fault] = []

    def source_of(at: int) -> MaskSource:
        (image_id, source), target = sources[at], targets[at]
        return target if target is not None and image_id in done and target.exists() else source

    image_ids = [image_id for image_id, _ in sources]
    arguments = _arguments(index, image_ids, source_of, targets)
    with (
        open(finished, "a", encoding="utf-8") as record,
        ImagePool(_check_mask, arguments, image_ids, threads) as pool,
    ):
        for at in progress(range(len(sources)), "Checking masks"):
            (image_id, source), target = sources[at], targets[at]
            fault = pool(at)
            if fault is not None:
                faults.append(Fault(fault[0], str(target or source), fault[1], image_id))
            elif isinstance(source, Path):
                masks[image_id] = Path(os.path.abspath(source))
            else:
                masks[image_id] = Path(DRAWN, f"{image_id}.png")  # from the table's folder on
                print(image_id, file=record, flush=True)
    faults += _missing(index, [image_id for image_id, _ in sources])
    if faults and raw.settings.on_fault == "stop":
        write_faults(masks_csv.with_name("faults.csv"), faults)
        raise DatasetFaults(f"the masks of the data set {raw.root}", faults)
    masks_csv.with_name("faults.csv").unlink(missing_ok=True)
    if faults:
        log.warning("%s: %d masks are left out, listed in %s", raw.root, len(faults), skipped_csv)
    if not masks:
        log.warning("%s has no masks; nothing made from it can be scored", raw.root)
    write_faults(skipped_csv, faults)
    write_label_manifest(masks, masks_csv)
    partial_work.finish()


def check_masks(raw: RawDataset, index: DatasetIndex, threads: int = 1) -> list[Fault]:
    """What is wrong with the masks that lie in PNG files.

    Args:
        raw: the data set.
        index: its images; height and width are 0 where they are not known, and not compared then.
        threads: processes that read masks.
    """
    try:
        sources = [(image_id, source) for image_id, source in raw.masks(index)]
    except UserError:
        return []  # index_masks tells it; the images' faults are what is asked for
    files = [(image_id, source) for image_id, source in sources if isinstance(source, Path)]
    image_ids = [image_id for image_id, _ in files]
    arguments = _arguments(index, image_ids, lambda at: files[at][1], [None] * len(files))
    faults = []
    with ImagePool(_check_mask, arguments, image_ids, threads) as pool:
        for at in progress(range(len(files)), "Checking masks"):
            if (fault := pool(at)) is not None:
                faults.append(Fault(fault[0], str(files[at][1]), fault[1], files[at][0]))
    return [*faults, *_missing(index, [image_id for image_id, _ in sources])]


def _arguments(
    index: DatasetIndex,
    image_ids: Sequence[str],
    source_of: Callable[[int], MaskSource],
    targets: Sequence[Path | None],
) -> Callable[[int], tuple[MaskSource, Path | None, Size, Sequence[str]]]:
    """The arguments of ``_check_mask`` by position."""
    sizes = dict(zip(index.image_ids, zip(index.table["height"], index.table["width"], strict=True), strict=True))
    return lambda at: (source_of(at), targets[at], sizes[image_ids[at]], index.classes)


def _missing(index: DatasetIndex, image_ids: Iterable[str]) -> list[Fault]:
    """Validation images without a mask, if any has one."""
    there = set(image_ids)
    val = index.split("val")
    if not there.intersection(val.image_ids):
        return []
    detail = "other validation images have a mask, this one has none; add it or take the id off its list"
    return [
        Fault(FaultKind.MISSING_MASK, str(path), detail, image_id)
        for image_id, path in zip(val.image_ids, val.image_paths, strict=True)
        if image_id not in there
    ]


def _check_mask(source: MaskSource, drawn: Path | None, size: Size, classes: Sequence[str]) -> Checked:
    """Read or draw a mask and look at it; a right one is written to ``drawn``, if that is given."""
    if isinstance(source, partial):
        try:
            mask = source()
        except UserError as error:
            return FaultKind.BROKEN_MASK, str(error)
    else:
        try:
            mask = read_mask(source)
        except UserError as error:
            return FaultKind.BROKEN_MASK, str(error).removeprefix(f"{source}: ")
    if size != (0, 0) and mask.shape != tuple(size):
        return FaultKind.MASK_SIZE, f"is {_in_words(mask.shape)}; its image, upright, is {_in_words(size)}"
    if mask.dtype == np.uint16 and len(classes) <= MOST_OF_8_BITS:
        return FaultKind.BROKEN_MASK, "is of 16-bit grey, which is for over 254 classes; save it as 8-bit PNG"
    beyond = _values_beyond(mask, len(classes))
    if beyond:
        shown = ", ".join(map(str, beyond[:8])) + (", ..." if len(beyond) > 8 else "")
        allowed = f"0 (background) to {len(classes)} ({classes[-1]}) and {ignored_in(mask)} (ignored)"
        return FaultKind.MASK_VALUES, f"has the values {shown}; allowed are {allowed}"
    if drawn is not None and source != drawn:
        write_label_map(drawn, of_classes(mask, len(classes)))
    return None


def _values_beyond(mask: np.ndarray, classes: int) -> list[int]:
    values = np.flatnonzero(np.bincount(mask.ravel()))
    return [int(value) for value in values if value > classes and value != ignored_in(mask)]


def _in_words(size: Sequence[int]) -> str:
    return f"{size[0]} high and {size[1]} wide"
