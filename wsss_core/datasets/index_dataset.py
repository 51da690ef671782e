"""Checks a data set's folder in full and writes its index; reports all faults at once."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

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
"""A class with fewer training images than this gets a warning."""
TINY = 32
"""An image with fewer pixels than this in height or width gets a warning."""
KEPT_ONCE = (FaultKind.REPEATED_ID, FaultKind.SHARED_ID)
"""Faults of images that are listed more than once: the first entry is kept."""
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
    """Check a data set and write its index (the table of images and their classes) and a report about it.

    Every image is decoded once. If ``raw.settings.long_side`` is given, larger images are shrunk at the same time, into
    the folder ``images`` next to the index. Masks are only read if there are faults: theirs are then listed too.
    ``raw.settings.negatives`` says which training images without a class are left out.

    Args:
        raw: the data set; ``raw.settings.on_fault`` says whether a faulty image stops this or is left out.
        index_csv: the table to write, see ``DatasetIndex``.
        classes_json: the list of class names to write.
        report_html: the page about the data set to write, see ``write_dataset_report``.
        report_csv: the table of the page's counts to write.
        skipped_csv: the table to write of the images that were left out, and why; only a heading if there are none.
        threads: processes that decode images.

    Raises:
        DatasetFaults: lists everything that is wrong with the data set. ``faults.csv``, next to ``index_csv``, has the
            faults as a table, and ``faults.html`` has them with the page about the other images.
    """
    listing = raw.list_images()
    long_side = raw.settings.long_side
    shrinking = None if long_side is None else Shrinking(Path(index_csv).parent, long_side)
    sizes, broken, odd_levels = check_images(listing.images, threads, shrinking)
    faults = [*listing.faults, *_unfit_names(raw, listing, sizes, Path(index_csv)), *broken]
    at_fault = {fault.image_id for fault in faults if fault.kind not in KEPT_ONCE}
    sound_images = [image for image in listing.images if image.image_id not in at_fault]
    unlabelled = left_out_without_class(sound_images, raw.settings)
    not_trained_on = {fault.image_id for fault in unlabelled}
    images = [image for image in sound_images if image.image_id not in not_trained_on]
    negatives = [image for image in sound_images if image.image_id in not_trained_on]
    warnings = [*listing.warnings, *_oddities(raw, listing, images, negatives, sizes), *odd_levels]
    warnings += _warn_of_images_without_class(raw, listing, sound_images)
    _log_warnings(raw, [warning for warning in warnings if warning.kind != FaultKind.NO_CLASS])

    index = _index(listing, images, sizes)
    faults_csv = Path(index_csv).with_name("faults.csv")
    if any(raw.settings.on_fault == "stop" or fault.image_id is None for fault in faults):
        faults += check_masks(raw, _index(listing, listing.images, sizes), threads)
        _refuse(raw, index, warnings, faults, faults_csv)
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
    if left_out := at_fault | not_trained_on:
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
    """Check the listed test images and write their index: split ``test``, no labels.

    Args:
        raw: the data set.
        index_csv: the table to write, see ``DatasetIndex``.
        classes_json: the list of class names to write.
        threads: processes that decode images.

    Raises:
        DatasetFaults: the list or an image is missing or cannot be read, or an image is also in another list; lists
            everything that is wrong. Test images are never skipped: the server needs them all.
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


def _refuse(
    raw: RawDataset, sound: DatasetIndex, warnings: Sequence[Fault], faults: Sequence[Fault], faults_csv: Path
) -> NoReturn:
    """Write the faults as a table, and as a page that also describes the ``sound`` images; then raise them."""
    faults_html = faults_csv.with_suffix(".html")
    write_faults(faults_csv, faults)
    faults_html.unlink(missing_ok=True)
    if len(sound) and sound.classes:
        write_dataset_report(str(raw.root), sound, warnings, faults, faults_html, None)
    can_skip = raw.settings.on_fault == "stop"
    raise DatasetFaults(f"the data set {raw.root}", faults, table=faults_csv, can_skip=can_skip)


def _index(listing: Listing, images: Sequence[ListedImage], sizes: Mapping[str, Size]) -> DatasetIndex:
    """The index of ``images``; an unknown size is 0."""
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
    """Put the shrunken copies into place; the index of ``images`` with the copies and the original files."""
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
    """Warnings about classes and images; ``negatives`` are images without a class that are left out."""
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


def _warn_of_images_without_class(raw: RawDataset, listing: Listing, images: Sequence[ListedImage]) -> list[Fault]:
    """Log how many images show no class and what is done with them; the same as a warning."""
    if any(fault.image_id is None for fault in listing.faults):
        return []  # the table of labels cannot be read, so that no image has a label says nothing more
    without_class = without_class_in_words(images, raw.settings)
    if not without_class:
        return []
    log.warning("%s: %s", raw.root, without_class)
    return [Fault(FaultKind.NO_CLASS, str(raw.root), without_class)]


def _unfit_names(raw: RawDataset, listing: Listing, sizes: Mapping[str, Size], index_csv: Path) -> list[Fault]:
    """Names of classes and images that cannot be file names."""
    faults = []
    try:
        check_class_names(listing.classes)
    except ValueError as error:
        faults.append(Fault(FaultKind.TABLE, str(raw.root), str(error)))
    return [*faults, *_unfit_ids(raw, listing.images, sizes, index_csv)]


def _unfit_ids(
    raw: RawDataset, images: Sequence[ListedImage], sizes: Mapping[str, Size], index_csv: Path
) -> list[Fault]:
    """Images whose label maps or shrunken copies could not be written."""
    files = {image.image_id: image.image for image in images}
    there = [image_id for image_id in files if image_id in sizes]  # missing images have a fault already
    results = index_csv.absolute().parent.parent.parent
    clashes = {*label_map_clashes(files), *unwritable_label_maps(there, results)}
    if raw.settings.long_side is not None:
        clashes |= set(label_map_clashes(files, JPEG, "shrunken image"))
    return [Fault(FaultKind.IMAGE_ID, str(files[image_id]), detail, image_id) for image_id, detail in sorted(clashes)]


def _unusable_splits(raw: RawDataset, index: DatasetIndex) -> list[Fault]:
    """Splits without an image, or without a class to learn."""
    detail = "no image is left in the split {!r}; fix the other faults, or the lists"
    details = [detail.format(split) for split in SPLITS if len(index.split(split)) == 0]
    if not details and not index.split("train").label_matrix.any():
        details = ["no image of the split 'train' shows a class, so nothing can be learned; name what some show"]
    return [Fault(FaultKind.LIST, str(raw.root), detail) for detail in details]


def _log_warnings(raw: RawDataset, warnings: Sequence[Fault]) -> None:
    """Log one line for each kind: the first warning and how many more; the report and ``skipped.csv`` have all."""
    for kind in FaultKind:
        of_kind = [fault for fault in warnings if fault.kind == kind]
        if of_kind:
            further = f" (and {len(of_kind) - 1} more)" if len(of_kind) > 1 else ""
            log.warning("%s: %s: %s: %s%s", raw.root, kind, of_kind[0].file, of_kind[0].text, further)
