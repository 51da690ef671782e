"""Checks a data set's masks, whatever their format, and writes a table of PNG files for scoring."""

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_check import Size
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import is_whole, write_label_manifest
from wsss_core.datasets.mask_agreement import MaskAgreement
from wsss_core.datasets.mask_check import Found, check_mask
from wsss_core.datasets.raw_dataset import MaskSource, RawDataset
from wsss_core.datasets.shrinking import shrunken_size
from wsss_core.errors import UserError, full_disk_explained
from wsss_core.files.record import read_record
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode
from wsss_core.jobs.progress import progress

AGREEMENT = "labels_and_masks.csv"
"""Table, next to that of the masks, of how well masks and labels agree."""
DRAWN = "drawn"
"""Folder, next to the table, of the masks that were drawn (from polygons, ...) or shrunk."""
log = logging.getLogger(__name__)


def index_masks(
    raw: RawDataset, index: DatasetIndex, masks_csv: Path | str, skipped_csv: Path | str, threads: int = 1
) -> None:
    """Check the masks of a data set and write the table of them for scoring.

    Masks in other forms than PNG files (polygons, run lengths, ...) are drawn once, as PNG files next to the table. So
    are masks of images that were shrunk: such a mask has the original image's size, and is shrunk too, or it has the
    smaller size already. Training images may lack a mask. Either all validation images have a mask, or none has.

    The masks are compared with the images' labels. ``labels_and_masks.csv``, next to the table, has the counts.

    Args:
        raw: the data set; ``raw.settings.on_fault`` says whether a faulty mask stops this or is left out.
        index: its images, shrunken or not.
        masks_csv: the table to write: image id and mask file of each image with a mask.
        skipped_csv: the table to write of the masks that were left out, and why; only a heading if there are none.
        threads: processes that read and draw masks.

    Raises:
        DatasetFaults: a mask cannot be read, is missing, has neither the size of its (upright) image nor that of the
            image's smaller copy, or has values other than 0..K and 255; lists all such masks. Or nearly all masks
            contradict their image's label, or a mistake such as a wrong order of the classes explains how they differ.
    """
    masks_csv = Path(masks_csv)
    faults_csv = masks_csv.with_name("faults.csv")
    wanted = _wanted_masks(raw, index, masks_csv.parent / DRAWN)
    partial_work = PartialWork(masks_csv.parent, "masks", [path for path in raw.mask_inputs() if path.exists()])
    agreement = MaskAgreement(index)
    masks, faults = _read_or_draw(raw, wanted, agreement, partial_work.path("finished.txt"), threads)
    faults = [*_missing(raw, index, [mask.image_id for mask in wanted]), *faults]
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


@dataclass(frozen=True)
class _WantedMask:
    """A mask, and where it comes from."""

    image_id: str
    source: MaskSource
    size: Size
    """Of the original image, and perhaps of the mask's source."""
    smaller: Size
    """Of the image in the index; differs from ``size`` if the image was shrunk."""
    target: Path | None
    """The PNG file to draw; None if the source is used as it is."""
    fingerprint: str
    """Of what the mask is made from: another one if that changes."""


def _wanted_masks(raw: RawDataset, index: DatasetIndex, drawn: Path) -> list[_WantedMask]:
    """The masks that there are; those that have to be drawn or shrunk get a target in the folder ``drawn``."""
    original = index.original()
    sizes = dict(zip(index.image_ids, zip(original.sizes, index.sizes, strict=True), strict=True))
    wanted = []
    for image_id, source in raw.masks(original):
        size, smaller = sizes[image_id]
        target = drawn / f"{image_id}.png" if not isinstance(source, Path) or size != smaller else None
        wanted.append(_WantedMask(image_id, source, size, smaller, target, _fingerprint(source, size, smaller)))
    return wanted


def _read_or_draw(
    raw: RawDataset, wanted: Sequence[_WantedMask], agreement: MaskAgreement, finished: Path, threads: int
) -> tuple[dict[str, Path], list[Fault]]:
    """Read or draw each mask once, and add its content to ``agreement``.

    Args:
        raw: the data set.
        wanted: its masks.
        agreement: compares masks with labels.
        finished: record of the masks that were drawn; those that an earlier run has drawn are kept.
        threads: processes, at most.

    Returns:
        The files of the right masks by image id, and the faults of the others.
    """
    done = _finished(finished, wanted)
    if done:
        log.info("Drawing masks: continuing after %d masks", len(done))
    classes = agreement.index.classes

    def arguments(at: int) -> tuple[Any, ...]:
        mask = wanted[at]
        lost = partial(raw.lost_pixels, mask.source)
        if mask.target is not None and done.get(mask.image_id) == mask.fingerprint and mask.target.exists():
            return mask.target, mask.target, mask.smaller, classes, None, lost
        smaller = None if mask.smaller == mask.size else mask.smaller
        return mask.source, mask.target, mask.size, classes, smaller, lost

    masks: dict[str, Path] = {}
    faults: list[Fault] = []
    image_ids = [mask.image_id for mask in wanted]
    threads = processes_to_decode(len(wanted), threads, shrink=any(mask.size != mask.smaller for mask in wanted))
    with (
        full_disk_explained(finished),
        open(finished, "a", encoding="utf-8") as record,
        ImagePool(check_mask, arguments, image_ids, threads) as pool,
    ):
        for at in progress(range(len(wanted)), "Checking masks"):
            mask, checked = wanted[at], pool(at)
            if checked.content is None:
                faults += _faults(raw, mask.image_id, mask.source, checked.found)
                continue
            agreement.add(mask.image_id, checked.content)
            if mask.target is None:
                masks[mask.image_id] = Path(os.path.abspath(str(mask.source)))
                continue
            masks[mask.image_id] = Path(DRAWN, f"{mask.image_id}.png")  # relative to the table's folder
            if done.get(mask.image_id) != mask.fingerprint:
                print(mask.fingerprint, mask.image_id, file=record, flush=True)
    return masks, faults


def _finished(record: Path, wanted: Sequence[_WantedMask]) -> dict[str, str]:
    """What an earlier run has drawn: by image id, the fingerprint of what it was drawn from."""
    drawn = {image_id: source for source, _, image_id in (line.partition(" ") for line in read_record(record))}
    whole = {mask.image_id for mask in wanted if mask.image_id in drawn and mask.target and is_whole(mask.target)}
    return {image_id: source for image_id, source in drawn.items() if image_id in whole}


def _fingerprint(source: MaskSource, size: Size, smaller: Size) -> str:
    """A digest of the drawing call's arguments, the state of their files, and the sizes if the mask is shrunk."""
    if isinstance(source, Path):
        if size == smaller:
            return ""
        state: list[object] = []
        arguments: tuple[object, ...] = (source,)
    else:
        state, arguments = [source.func.__name__, sorted(source.keywords.items())], source.args
    if size != smaller:
        state.append((size, smaller))
    for argument in arguments:
        state.append(argument)
        if isinstance(argument, Path) and argument.is_file():
            status = argument.stat()
            state.append((status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def check_masks(raw: RawDataset, index: DatasetIndex, threads: int = 1) -> list[Fault]:
    """The faults of a data set's masks. Masks in other forms than PNG files are drawn, but not kept.

    Args:
        raw: the data set.
        index: its images; unknown heights and widths are 0, and not compared.
        threads: processes that read masks.

    Returns:
        The faults; none if checking takes long: ``index_masks`` reports them later.
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
        size, long_side = sizes[image_ids[at]], raw.settings.long_side
        smaller = size if long_side is None else shrunken_size(size, long_side)
        return sources[at][1], None, size, index.classes, None if smaller == size else smaller

    with ImagePool(check_mask, arguments, image_ids, threads) as pool:
        for at in progress(range(len(sources)), "Checking masks"):
            faults += _faults(raw, *sources[at], pool(at).found)
    return faults


def _missing(raw: RawDataset, index: DatasetIndex, image_ids: Iterable[str]) -> list[Fault]:
    """A fault for each validation image without a mask, if any has one."""
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
    """The faults of a mask, each with the file to look at: the one that the mask is drawn from."""
    file = str(source if isinstance(source, Path) else raw.expected_mask(image_id))
    return [Fault(kind, file, detail.removeprefix(f"{file}: "), image_id) for kind, detail in found]
