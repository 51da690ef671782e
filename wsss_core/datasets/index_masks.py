"""From a data set's masks, whatever their format, to a checked table of PNG files that scoring reads."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import is_whole, write_label_manifest
from wsss_core.datasets.label_values import MOST_OF_8_BITS, ignored_in, of_classes
from wsss_core.datasets.mask_agreement import MaskAgreement, MaskContent
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.raw_dataset import MaskSource, RawDataset
from wsss_core.datasets.shrinking import shrink_mask
from wsss_core.errors import UserError, full_disk_told
from wsss_core.files.record import read_record
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode
from wsss_core.jobs.progress import progress

FAR_BEYOND = 100
"""A mask with so many times its image's pixels is not looked into."""
AGREEMENT = "labels_and_masks.csv"
"""Table, beside that of the masks, of how far they agree with the labels."""
DRAWN = "drawn"
"""Folder, beside the table, of the masks that lie in no PNG file and were drawn, and of those that were shrunk."""
Found = tuple[FaultKind, str]
"""One thing that is wrong with a mask, and how so."""
log = logging.getLogger(__name__)


def index_masks(
    raw: RawDataset, index: DatasetIndex, masks_csv: Path | str, skipped_csv: Path | str, threads: int = 1
) -> None:
    """Check the masks of a data set and write the table of them, which scoring reads.

    Masks that are no PNG files (polygons, run lengths, ...) are drawn once, as PNG files beside the table. So are
    masks of images that were shrunk: a mask has its original image's size, and is shrunk with it. Any training image
    may lack a mask. Validation images have all a mask, or none has one.

    What the masks show is compared with the images' labels. ``labels_and_masks.csv``, beside the table, has the counts.

    Args:
        raw: the data set; ``raw.settings.on_fault`` says whether faulty masks stop this or are left out.
        index: its images, shrunken or not.
        masks_csv: where the table goes: image id and mask file of the images with a mask.
        skipped_csv: where the masks that were left out go, and why; with the heading alone if none was.
        threads: processes that read and draw masks.

    Raises:
        DatasetFaults: a mask cannot be read, has another size than its (upright) image, has
            values other than 0..K and 255, or is missing; lists all such masks. Or nearly no mask shows what its
            image's label says, or an order of the classes, a shift or the like explains how they differ.
    """
    masks_csv = Path(masks_csv)
    faults_csv = masks_csv.with_name("faults.csv")
    original = index.original()
    sources = list(raw.masks(original))
    image_ids = [image_id for image_id, _ in sources]
    sizes = dict(zip(index.image_ids, zip(original.sizes, index.sizes, strict=True), strict=True))
    threads = processes_to_decode(len(sources), threads, shrink=original.sizes != index.sizes)
    drawn = [not isinstance(source, Path) or len({*sizes[image_id]}) > 1 for image_id, source in sources]
    targets = [
        masks_csv.parent / DRAWN / f"{image_id}.png" if drawn[at] else None for at, image_id in enumerate(image_ids)
    ]
    partial_work = PartialWork(masks_csv.parent, "masks", [path for path in raw.mask_inputs() if path.exists()])
    finished = partial_work.path("finished.txt")
    done = _finished(finished, dict(zip(image_ids, targets, strict=True)))
    prints = [_fingerprint(source, *sizes[image_id]) for image_id, source in sources]
    if done:
        log.info("Drawing masks: continuing after %d masks", len(done))

    def arguments(at: int) -> tuple[Any, ...]:
        (image_id, source), target, (size, smaller) = sources[at], targets[at], sizes[image_ids[at]]
        lost = partial(raw.lost_pixels, source)
        if target is not None and done.get(image_id) == prints[at] and target.exists():
            return target, target, smaller, index.classes, None, lost
        return source, target, size, index.classes, None if smaller == size else smaller, lost

    masks: dict[str, Path] = {}
    faults = _missing(raw, index, image_ids)
    agreement = MaskAgreement(index)
    with (
        full_disk_told(finished),
        open(finished, "a", encoding="utf-8") as record,
        ImagePool(check_mask, arguments, image_ids, threads) as pool,
    ):
        for at in progress(range(len(sources)), "Checking masks"):
            image_id, source = sources[at]
            looked = pool(at)
            if looked.content is None:
                faults += _faults(raw, image_id, source, looked.found)
                continue
            agreement.add(image_id, looked.content)
            if isinstance(source, Path) and not drawn[at]:
                masks[image_id] = Path(os.path.abspath(source))
            else:
                masks[image_id] = Path(DRAWN, f"{image_id}.png")  # from the table's folder on
                if done.get(image_id) != prints[at]:
                    print(prints[at], image_id, file=record, flush=True)
    contradictions, warnings = agreement.judge(raw.root, raw.on_ignored_classes())
    if contradictions or (faults and raw.settings.on_fault == "stop"):
        faults += contradictions
        write_faults(faults_csv, faults)
        raise DatasetFaults(f"the masks of the data set {raw.root}", faults, table=faults_csv, can_skip=True)
    faults_csv.unlink(missing_ok=True)
    if faults:
        without = len({fault.image_id for fault in faults})
        log.warning("%s: %d images are not scored for their masks' faults: %s", raw.root, without, skipped_csv)
    for warning in warnings:
        log.warning("%s: %s: %s", warning.file, warning.kind, warning.detail)
    if not masks:
        log.warning("%s has no masks; nothing made from it can be scored", raw.root)
    write_faults(skipped_csv, faults)
    agreement.write(masks_csv.with_name(AGREEMENT))
    write_label_manifest(masks, masks_csv)
    partial_work.finish()


def _finished(record: Path, targets: Mapping[str, Path | None]) -> dict[str, str]:
    """What an earlier run has drawn: by image id, the fingerprint of what it was drawn from."""
    drawn = {image_id: source for source, _, image_id in (line.partition(" ") for line in read_record(record))}
    whole = {image_id for image_id, target in targets.items() if image_id in drawn and target and is_whole(target)}
    return {image_id: source for image_id, source in drawn.items() if image_id in whole}


def _fingerprint(source: MaskSource, size: Size, smaller: Size) -> str:
    """Of what a mask is made from: the call's arguments, the state of files, and its sizes if it is shrunk."""
    if isinstance(source, Path):
        if size == smaller:
            return ""
        told: list[object] = []
        files: tuple[object, ...] = (source,)
    else:
        told, files = [source.func.__name__, sorted(source.keywords.items())], source.args
    if size != smaller:
        told.append((size, smaller))
    for argument in files:
        told.append(argument)
        if isinstance(argument, Path) and argument.is_file():
            status = argument.stat()
            told.append((status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def check_masks(raw: RawDataset, index: DatasetIndex, threads: int = 1) -> list[Fault]:
    """What is wrong with a data set's masks; those that lie in no PNG file are drawn for it, and thrown away.

    Args:
        raw: the data set.
        index: its images; height and width are 0 where they are not known, and not compared then.
        threads: processes that read masks.

    Returns:
        The faults; none, if to look at all masks takes long: ``index_masks`` tells them then.
    """
    if not raw.masks_are_quick:
        return []
    try:
        sources = list(raw.masks(index))
    except UserError as error:
        return [Fault(FaultKind.BROKEN_MASK, str(raw.root), str(error))]
    threads = processes_to_decode(len(sources), threads)
    image_ids = [image_id for image_id, _ in sources]
    sizes = dict(zip(index.image_ids, index.sizes, strict=True))
    faults = _missing(raw, index, image_ids)

    def arguments(at: int) -> tuple[Any, ...]:
        return sources[at][1], None, sizes[image_ids[at]], index.classes

    with ImagePool(check_mask, arguments, image_ids, threads) as pool:
        for at in progress(range(len(sources)), "Checking masks"):
            faults += _faults(raw, *sources[at], pool(at).found)
    return faults


def _missing(raw: RawDataset, index: DatasetIndex, image_ids: Iterable[str]) -> list[Fault]:
    """Validation images without a mask, if any has one."""
    there, val = set(image_ids), index.split("val").image_ids
    if not there.intersection(val):
        return []
    detail = "other validation images have a mask, this one has none; add it, or let this be no validation image"
    return [
        Fault(FaultKind.MISSING_MASK, str(raw.expected_mask(image_id)), f"{image_id!r}: {detail}", image_id)
        for image_id in val
        if image_id not in there
    ]


def _faults(raw: RawDataset, image_id: str, source: MaskSource, found: Iterable[Found]) -> list[Fault]:
    """What is wrong with a mask, with the file to look at: where it is drawn from, not what was drawn."""
    file = str(source if isinstance(source, Path) else raw.expected_mask(image_id))
    return [Fault(kind, file, detail.removeprefix(f"{file}: "), image_id) for kind, detail in found]


@dataclass(frozen=True)
class _Looked:
    """What a look at a mask has shown."""

    found: list[Found]
    """What is wrong."""
    content: MaskContent | None = None
    """What a right one holds."""


def check_mask(
    source: MaskSource,
    drawn: Path | None,
    size: Size,
    classes: Sequence[str],
    smaller: Size | None = None,
    lost: Callable[[np.ndarray, int], np.ndarray | None] = lambda mask, classes: None,
) -> _Looked:
    """Read or draw a mask and look at it; a right one is written to ``drawn``, shrunk to ``smaller``, if given."""
    try:
        mask = read_mask(source) if isinstance(source, Path) else source()
        found = _faults_of_mask(mask, size, classes, smaller is not None)
        if found:
            return _Looked(found)
        mask = of_classes(mask, len(classes))
        mask = mask if smaller is None else shrink_mask(mask, smaller)
        if drawn is not None and source != drawn:
            write_label_map(drawn, mask)
        counts = np.bincount(mask.ravel(), minlength=len(classes) + 1)[1 : len(classes) + 1].astype(np.int64)
        ignored = int((mask == ignored_in(mask)).sum())
        return _Looked([], MaskContent(counts, ignored, lost(mask, len(classes)) if ignored else None))
    except UserError as error:
        return _Looked([(FaultKind.BROKEN_MASK, str(error))])


def _faults_of_mask(mask: np.ndarray, size: Size, classes: Sequence[str], is_shrunk: bool) -> list[Found]:
    """What is wrong with a mask, before it is shrunk."""
    found = []
    if size != (0, 0) and mask.shape != tuple(size):
        before = ", before it is shrunk" if is_shrunk else ""
        detail = f"is {_in_words(mask.shape)}; its image, upright, is {_in_words(size)}{before}"
        found.append((FaultKind.MASK_SIZE, detail))
        if mask.size > FAR_BEYOND * size[0] * size[1]:
            return found  # perhaps beyond all memory, too, so nobody looks into it
    if mask.dtype == np.uint16 and len(classes) <= MOST_OF_8_BITS:
        detail = "is of 16-bit grey, which is for over 254 classes; save it as 8-bit PNG"
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
