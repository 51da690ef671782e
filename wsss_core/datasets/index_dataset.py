"""From a data set's folder to its index, checked in full: all that is wrong is told at once, and nothing half made."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas

from wsss_core.config.class_names import check_class_names
from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_check import Size, check_images
from wsss_core.datasets.image_ids import label_map_clashes, unwritable_label_maps
from wsss_core.datasets.index import COLUMNS, ORIGINAL_COLUMNS, SPLITS, TEST, DatasetIndex, join_labels, write_index
from wsss_core.datasets.index_masks import check_masks
from wsss_core.datasets.raw_dataset import ListedImage, Listing, RawDataset
from wsss_core.datasets.report.dataset_report import write_dataset_report
from wsss_core.datasets.shrinking import JPEG, Shrinking, shrunken_size
from wsss_core.datasets.without_class import (
    classes_without_counterexample,
    left_out_without_class,
    without_class_in_words,
)

FEW_IMAGES = 10
"""A class with fewer training images than this is worth a warning."""
TINY = 32
"""An image that is lower or narrower than so many pixels is worth a warning."""
KEPT_ONCE = (FaultKind.REPEATED_ID, FaultKind.SHARED_ID)
"""Faults of images that are listed more than once: the first place counts."""
log = logging.getLogger(__name__)


def index_dataset(
    raw: RawDataset,
    index_csv: Path | str,
    classes_json: Path | str,
    report_html: Path | str,
    report_csv: Path | str,
    skipped_csv: Path | str,
    threads: int = 1,
) -> None:
    """Check a data set and write its index, the table of images and their classes, and a report about it.

    Every image is decoded once. If ``raw.settings.long_side`` is given, larger ones are shrunk then, into the folder
    ``images`` beside the index. Masks are not read, unless something is wrong anyway: then their faults are listed with
    the others. ``raw.settings.negatives`` says which training images that show no class are left out.

    Args:
        raw: the data set; ``raw.settings.on_fault`` says whether images with a fault stop this or are left out.
        index_csv: where the table goes, see ``DatasetIndex``.
        classes_json: where the list of class names goes.
        report_html: where the page about the data set goes, see ``write_dataset_report``.
        report_csv: where the page's counts go.
        skipped_csv: where the images that were left out go, and why; with the heading alone if none was.
        threads: processes that decode images.

    Raises:
        DatasetFaults: something is wrong with the data set; lists everything that is. Beside ``index_csv``,
            ``faults.csv`` has it as a table, and ``faults.html`` with the page about the rest.
    """
    listing = raw.list_images()
    long_side = raw.settings.long_side
    shrinking = None if long_side is None else Shrinking(Path(index_csv).parent, long_side)
    sizes, broken, odd_levels = check_images(listing.images, threads, shrinking)
    faults = [*listing.faults, *_unfit_names(raw, listing, sizes, Path(index_csv)), *broken]
    left_out = {fault.image_id for fault in faults if fault.kind not in KEPT_ONCE}
    sound_images = [image for image in listing.images if image.image_id not in left_out]
    unlabelled = left_out_without_class(sound_images, raw.settings)
    left_out |= {fault.image_id for fault in unlabelled}
    images = [image for image in listing.images if image.image_id not in left_out]
    not_trained_on = {fault.image_id for fault in unlabelled}
    negatives = [image for image in sound_images if image.image_id in not_trained_on]
    warnings = [*listing.warnings, *_oddities(raw, listing, images, negatives, sizes), *odd_levels]
    # Where the whole table of labels is at fault, that every image lacks one says nothing more.
    unreadable = any(fault.image_id is None for fault in listing.faults)
    without_class = "" if unreadable else without_class_in_words(sound_images, raw.settings)
    if without_class:
        log.warning("%s: %s", raw.root, without_class)
        warnings.append(Fault(FaultKind.NO_CLASS, str(raw.root), without_class))
    _log_warnings(raw, [warning for warning in warnings if warning.kind != FaultKind.NO_CLASS])

    faults_csv = Path(index_csv).with_name("faults.csv")
    if any(raw.settings.on_fault == "stop" or fault.image_id is None for fault in faults):
        faults += check_masks(raw, _index(listing, listing.images, sizes), threads)
        write_faults(faults_csv, faults)
        sound = _index(listing, images, sizes)
        faults_csv.with_suffix(".html").unlink(missing_ok=True)
        if len(sound) and listing.classes:
            write_dataset_report(str(raw.root), sound, warnings, faults, faults_csv.with_suffix(".html"), None)
        can_skip = raw.settings.on_fault == "stop"
        raise DatasetFaults(f"the data set {raw.root}", faults, table=faults_csv, can_skip=can_skip)
    index = _index(listing, images, sizes)
    skipped = [*faults, *unlabelled]
    unusable = _unusable_splits(raw, index)
    if unusable:
        skipped += unusable
        write_faults(faults_csv, skipped)
        raise DatasetFaults(f"the data set {raw.root}", skipped, table=faults_csv)

    faults_csv.unlink(missing_ok=True)
    faults_csv.with_suffix(".html").unlink(missing_ok=True)
    if faults:
        _log_warnings(raw, faults)
    if left_out:
        level = logging.WARNING if faults else logging.INFO
        log.log(level, "%s: %d images are left out, listed in %s", raw.root, len(left_out), skipped_csv)
    write_faults(skipped_csv, skipped)
    if shrinking is not None:
        index = _shrunken(index, images, shrinking)
    write_dataset_report(str(raw.root), index, warnings, skipped, report_html, report_csv)
    write_index(index, index_csv, classes_json)
    counts = ", ".join(f"{len(index.split(split))} {split}" for split in SPLITS)
    log.info("%s: images %s; %d classes", raw.root, counts, len(index.classes))
    if shrinking is not None:
        shrinking.finish(Path(index_csv))


def index_test_images(raw: RawDataset, index_csv: Path | str, classes_json: Path | str, threads: int = 1) -> None:
    """Check the images of the list of test images and write their index, with ``test`` as split and without labels.

    Args:
        raw: the data set.
        index_csv: where the table goes, see ``DatasetIndex``.
        classes_json: where the list of class names goes.
        threads: processes that decode images.

    Raises:
        DatasetFaults: the list or an image is missing or cannot be read, or an image is in another list as
            well; lists everything that is wrong. No test image is ever skipped: the server wants them all.
    """
    listing = raw.list_images((*SPLITS, TEST))
    images = [image for image in listing.images if image.split == TEST]
    sizes, broken, odd_levels = check_images(images, threads)
    _log_warnings(raw, odd_levels)
    of_labels = (FaultKind.MISSING_ANNOTATION, FaultKind.BROKEN_ANNOTATION, FaultKind.UNKNOWN_CLASS)
    faults = [fault for fault in listing.faults if fault.kind not in of_labels]
    faults += [*_unfit_ids(raw, images, sizes, Path(index_csv)), *broken]
    if faults:
        raise DatasetFaults(f"the test images of the data set {raw.root}", faults)
    index = _index(listing, images, sizes)
    write_index(index, index_csv, classes_json)
    log.info("%s: %d test images", raw.root, len(index))


def _index(listing: Listing, images: Sequence[ListedImage], sizes: Mapping[str, Size]) -> DatasetIndex:
    """The index of ``images``; one whose size is not known has 0 for it."""
    rows = [
        (
            image.image_id,
            image.split,
            str(image.image),
            *sizes.get(image.image_id, (0, 0)),
            join_labels(set(image.labels), listing.classes),
        )
        for image in images
    ]
    return DatasetIndex(listing.classes, pandas.DataFrame(rows, columns=list(COLUMNS)))


def _shrunken(index: DatasetIndex, images: Sequence[ListedImage], shrinking: Shrinking) -> DatasetIndex:
    """The index of ``images`` with the shrunken copies, which are put in their place, and the original files."""
    copies = shrinking.place(images)
    table = index.table.copy()
    table[list(ORIGINAL_COLUMNS)] = table[[name.removeprefix("original_") for name in ORIGINAL_COLUMNS]]
    table["image"] = [str(copies.get(image.image_id, image.image)) for image in images]
    sizes = [shrunken_size(size, shrinking.long_side) for size in index.sizes]
    table["height"], table["width"] = ([size[side] for size in sizes] for side in (0, 1))
    log.info("%d of %d images are shrunk to %d pixels", len(copies), len(images), shrinking.long_side)
    return DatasetIndex(index.classes, table)


def _oddities(
    raw: RawDataset,
    listing: Listing,
    images: Sequence[ListedImage],
    negatives: Sequence[ListedImage],
    sizes: Mapping[str, Size],
) -> list[Fault]:
    """What can be worked with, but ought to be known; ``negatives`` are the ones without a class that are left out."""
    odd = []
    train = [image for image in images if image.split == "train"]
    counts = {name: 0 for name in listing.classes}
    for image in train:
        for name in image.labels:
            counts[name] += 1
    for name, number in counts.items():
        if train and number < FEW_IMAGES:
            detail = f"{number} training images show {name!r}; a class is hardly learned from under {FEW_IMAGES}"
            odd.append(Fault(FaultKind.RARE_CLASS, str(raw.root), detail))
    odd += classes_without_counterexample(train, listing.classes, raw.root, negatives)
    for image in images:
        height, width = sizes[image.image_id]  # known: images with a fault are not among these
        if image.size is not None and image.size != (height, width):
            described = f"{image.size[0]} high and {image.size[1]} wide"
            detail = f"{image.described_in} says {described}; it is {height} high and {width} wide, which is used"
            odd.append(Fault(FaultKind.OTHER_SIZE, str(image.image), detail, image.image_id))
        if raw.settings.long_side is not None:
            height, width = shrunken_size((height, width), raw.settings.long_side)
        if min(height, width) < TINY:
            detail = f"is {height} high and {width} wide; networks see little in under {TINY} pixels"
            odd.append(Fault(FaultKind.TINY_IMAGE, str(image.image), detail, image.image_id))
    return odd


def _unfit_names(raw: RawDataset, listing: Listing, sizes: Mapping[str, Size], index_csv: Path) -> list[Fault]:
    """Names of classes and images that files could not be made of."""
    faults = []
    try:
        check_class_names(listing.classes)
    except ValueError as error:
        faults.append(Fault(FaultKind.TABLE, str(raw.root), str(error)))
    return [*faults, *_unfit_ids(raw, listing.images, sizes, index_csv)]


def _unfit_ids(
    raw: RawDataset, images: Sequence[ListedImage], sizes: Mapping[str, Size], index_csv: Path
) -> list[Fault]:
    """Images whose label maps, or shrunken copies, could not be written."""
    files = {image.image_id: image.image for image in images}
    there = [image_id for image_id in files if image_id in sizes]  # of others that is told already
    results = index_csv.absolute().parent.parent.parent
    clashes = {*label_map_clashes(files), *unwritable_label_maps(there, results)}
    if raw.settings.long_side is not None:
        clashes |= set(label_map_clashes(files, JPEG, "shrunken image"))
    return [Fault(FaultKind.IMAGE_ID, str(files[image_id]), detail, image_id) for image_id, detail in sorted(clashes)]


def _unusable_splits(raw: RawDataset, index: DatasetIndex) -> list[Fault]:
    """Splits that nothing can be done with: without an image, or without a class to learn."""
    detail = "no image is left in the split {!r}; mend the other faults, or the lists"
    details = [detail.format(split) for split in SPLITS if len(index.split(split)) == 0]
    if not details and not index.split("train").label_matrix.any():
        details = ["no image of the split 'train' shows a class, so nothing can be learned; name what some show"]
    return [Fault(FaultKind.LIST, str(raw.root), detail) for detail in details]


def _log_warnings(raw: RawDataset, warnings: Sequence[Fault]) -> None:
    """One line a kind, with its number and its first case; the report and ``skipped.csv`` have all."""
    for kind in FaultKind:
        of_kind = [fault for fault in warnings if fault.kind == kind]
        if of_kind:
            further = f" (and {len(of_kind) - 1} more)" if len(of_kind) > 1 else ""
            log.warning("%s: %s: %s: %s%s", raw.root, kind, of_kind[0].file, of_kind[0].text, further)
