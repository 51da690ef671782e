"""Data sets in the layout of the PASCAL VOC devkit.

``ImageSets/Segmentation/<list>.txt`` lists image ids, ``JPEGImages/<id>.jpg`` are the images,
``Annotations/<id>.xml`` name the objects in them, and ``SegmentationClass/<id>.png``, where
there are any, are the masks. A data set is checked in full before anything is made from it, and
all that is wrong with it is told in one message.
"""

import difflib
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas

from wsss_core.config.dataset import Dataset
from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind
from wsss_core.datasets.images import image_size, read_image, read_mask
from wsss_core.datasets.index import (
    COLUMNS,
    SPLITS,
    TEST,
    DatasetIndex,
    join_labels,
    write_index,
)
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.palette import IGNORED
from wsss_core.datasets.voc_layout import (
    ANNOTATIONS,
    IMAGES,
    annotation_file,
    image_file,
    layout_faults,
    mask_file,
    read_lists,
)
from wsss_core.errors import UserError
from wsss_core.progress import progress

Size = tuple[int, int]
"""Height and width, pixels."""

log = logging.getLogger(__name__)


def index_dataset(root: Path | str, dataset: Dataset, index_csv: Path | str, classes_json: Path | str) -> None:
    """Check a data set and write its index, the table of images and their classes.

    Every image is decoded once. Masks are not read, unless something is wrong anyway: then
    their faults are listed with the others.

    Args:
        root: folder of the data set; image paths in the index begin with it as given here.
        dataset: names of the image lists and of the classes.
        index_csv: where the table goes, see ``DatasetIndex``.
        classes_json: where the list of class names goes.

    Raises:
        DatasetFaults: something is wrong with the data set; lists everything that is.
    """
    root = Path(root)
    faults = layout_faults(root, dataset.splits)
    splits = read_lists(root, dataset.splits, faults)
    has_images, has_annotations = (root / IMAGES).is_dir(), (root / ANNOTATIONS).is_dir()
    sizes: dict[str, Size] = {}
    annotations: dict[str, tuple[set[str], Size | None]] = {}
    for image_id in progress(splits, "Checking images", len(splits)):
        if has_images:
            _check_image(root, image_id, sizes, faults)
        if has_annotations:
            _check_annotation(root, image_id, annotations, faults)
    faults += _unknown_class_faults(root, annotations, dataset.classes)
    if faults:
        _check_masks(root, splits, sizes, dataset.classes, faults)
        raise DatasetFaults(f"the data set {root}", faults)
    _warn_of_other_sizes(root, annotations, sizes)

    rows = []
    for image_id, split in splits.items():
        labels = join_labels(annotations[image_id][0], dataset.classes)
        rows.append((image_id, split, str(image_file(root, image_id)), *sizes[image_id], labels))
    index = DatasetIndex(dataset.classes, pandas.DataFrame(rows, columns=list(COLUMNS)))
    write_index(index, index_csv, classes_json)
    counts = ", ".join(f"{len(index.split(split))} {split}" for split in SPLITS)
    log.info("%s: images %s; %d classes", root, counts, len(index.classes))


def index_test_images(root: Path | str, dataset: Dataset, index_csv: Path | str, classes_json: Path | str) -> None:
    """Check the images of the list ``splits.test`` and write their index, with ``test`` as split and without labels.

    Args:
        root: folder of the data set.
        dataset: names of the image lists, the test images' among them, and of the classes.
        index_csv: where the table goes, see ``DatasetIndex``.
        classes_json: where the list of class names goes.

    Raises:
        DatasetFaults: the list or an image is missing or cannot be read, or an image is in another list as
            well; lists everything that is wrong.
    """
    root, splits = Path(root), (*SPLITS, TEST)
    faults = layout_faults(root, dataset.splits, splits)
    listed = read_lists(root, dataset.splits, faults, splits)
    sizes: dict[str, Size] = {}
    image_ids = [image_id for image_id, split in listed.items() if split == TEST]
    if (root / IMAGES).is_dir():
        for image_id in progress(image_ids, "Checking test images", len(image_ids)):
            _check_image(root, image_id, sizes, faults)
    if faults:
        raise DatasetFaults(f"the test images of the data set {root}", faults)
    rows = [(image_id, TEST, str(image_file(root, image_id)), *sizes[image_id], "") for image_id in image_ids]
    index = DatasetIndex(dataset.classes, pandas.DataFrame(rows, columns=list(COLUMNS)))
    write_index(index, index_csv, classes_json)
    log.info("%s: %d test images", root, len(index))


def index_masks(root: Path | str, index: DatasetIndex, masks_csv: Path | str) -> None:
    """Check the masks of a data set and write the table of them, which scoring reads.

    Any training image may lack a mask. Validation images have all a mask, or none has one.

    Args:
        root: folder of the data set.
        index: its images.
        masks_csv: where the table goes: image id and mask file of the images with a mask.

    Raises:
        DatasetFaults: a mask cannot be read, has another size than its (upright) image, has
            values other than 0..K and 255, or is missing; lists all such masks.
    """
    root, table = Path(root), index.table
    splits = dict(zip(table["image_id"], table["split"], strict=True))
    sizes = dict(zip(splits, zip(table["height"], table["width"], strict=True), strict=True))
    faults: list[Fault] = []
    masks = _check_masks(root, splits, sizes, index.classes, faults)
    if faults:
        raise DatasetFaults(f"the masks of the data set {root}", faults)
    if not masks:
        log.warning("%s has no masks; nothing made from it can be scored", root)
    write_label_manifest({image_id: Path(os.path.abspath(mask)) for image_id, mask in masks.items()}, masks_csv)


def _check_image(root: Path, image_id: str, sizes: dict[str, Size], faults: list[Fault]) -> None:
    """Decode an image; its size goes to ``sizes``, even of a truncated one if it can be told."""
    path = image_file(root, image_id)
    if not os.path.isfile(path):
        names = [image_id + suffix for suffix in ("", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")]
        near = next((name for name in names if os.path.isfile(path.with_name(name))), None)
        hint = f" ({near!r} is there: save or rename it as .jpg)" if near else ""
        detail = f"add the image{hint} or take {image_id!r} off its list"
        faults.append(Fault(FaultKind.MISSING_IMAGE, str(path), detail))
        return
    try:
        height, width, _ = read_image(path).shape
        sizes[image_id] = height, width
    except UserError as error:
        faults.append(_unreadable(FaultKind.BROKEN_IMAGE, path, error))
        with suppress(UserError):
            sizes[image_id] = image_size(path)


def _check_annotation(
    root: Path,
    image_id: str,
    annotations: dict[str, tuple[set[str], Size | None]],
    faults: list[Fault],
) -> None:
    """Read the names of the objects (difficult ones too) and the size of the image, if given."""
    path = annotation_file(root, image_id)
    if not os.path.isfile(path):
        detail = f"add the annotation or take {image_id!r} off its list"
        faults.append(Fault(FaultKind.MISSING_ANNOTATION, str(path), detail))
        return
    try:
        annotation = ElementTree.parse(path).getroot()
    # ParseError is a SyntaxError; an unknown encoding is a LookupError or ValueError.
    except (SyntaxError, LookupError, ValueError, OSError) as error:
        detail = f"is no well-formed XML ({error}); copy or download it again"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail))
        return
    # Children only: the parts of an object (a person's head) have names as well.
    names = [(entry.findtext("name") or "").strip() for entry in annotation.findall("object")]
    if "" in names:
        detail = "has an <object> without a <name>; expected the name of its class"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(path), detail))
    elif not names:
        detail = f"has no <object>; name the objects in the image or take {image_id!r} off its list"
        faults.append(Fault(FaultKind.NO_CLASS, str(path), detail))
    size = annotation.findtext("size/height"), annotation.findtext("size/width")
    try:
        annotated = int(size[0] or ""), int(size[1] or "")
    except ValueError:
        annotated = None  # the size is optional: the image itself tells it
    annotations[image_id] = set(names) - {""}, annotated


def _unknown_class_faults(
    root: Path,
    annotations: Mapping[str, tuple[set[str], Size | None]],
    classes: Sequence[str],
) -> list[Fault]:
    """Objects of other classes; each unknown name once first, then the further files with it."""
    folded = {name.casefold(): name for name in classes}
    first: dict[str, Fault] = {}
    further: list[Fault] = []
    for image_id, (names, _) in annotations.items():
        for name in sorted(names.difference(classes)):
            near = difflib.get_close_matches(name.casefold(), folded, n=1)
            advice = f"did you mean {folded[near[0]]!r}?" if near else "add it to 'classes'"
            detail = f"{name!r} is not in the class list ({advice})"
            fault = Fault(FaultKind.UNKNOWN_CLASS, str(annotation_file(root, image_id)), detail)
            if first.setdefault(name, fault) is not fault:
                further.append(fault)
    return [*first.values(), *further]


def _warn_of_other_sizes(
    root: Path,
    annotations: Mapping[str, tuple[set[str], Size | None]],
    sizes: Mapping[str, Size],
) -> None:
    """Warn once of all annotations that give another size; the image's own size is what counts."""
    other = [i for i, (_, size) in annotations.items() if size is not None and size != sizes[i]]
    if other:
        log.warning(
            "%d annotations give another size than their image has (the image's size is used): %s",
            len(other),
            ", ".join(str(annotation_file(root, image_id)) for image_id in other[:5]),
        )


def _check_masks(
    root: Path,
    splits: Mapping[str, str],
    sizes: Mapping[str, Size],
    classes: Sequence[str],
    faults: list[Fault],
) -> dict[str, Path]:
    """Check the masks there are; image id to mask file. Sizes may be known of some images only."""
    masks = {image_id: mask_file(root, image_id) for image_id in splits}
    masks = {image_id: path for image_id, path in masks.items() if os.path.isfile(path)}
    if any(splits[image_id] == "val" for image_id in masks):
        for image_id, split in splits.items():
            if split == "val" and image_id not in masks:
                detail = "other validation images have a mask; add this one or take the id off"
                missing = str(mask_file(root, image_id))
                faults.append(Fault(FaultKind.MISSING_MASK, missing, detail))
    for image_id, path in progress(masks.items(), "Checking masks", len(masks)):
        try:
            mask = read_mask(path)
        except UserError as error:
            faults.append(_unreadable(FaultKind.BROKEN_MASK, path, error))
            continue
        size = sizes.get(image_id, mask.shape)
        if mask.shape != size:
            detail = f"is {_in_words(mask.shape)}; its image, upright, is {_in_words(size)}"
            faults.append(Fault(FaultKind.MASK_SIZE, str(path), detail))
        values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        beyond = [str(value) for value in values if value > len(classes) and value != IGNORED]
        if beyond:
            shown = ", ".join(beyond[:8]) + (", ..." if len(beyond) > 8 else "")
            allowed = f"0 (background) to {len(classes)} ({classes[-1]}) and {IGNORED} (ignored)"
            detail = f"has the values {shown}; allowed are {allowed}"
            faults.append(Fault(FaultKind.MASK_VALUES, str(path), detail))
    return masks


def _in_words(size: tuple[int, ...]) -> str:
    return f"{size[0]} high and {size[1]} wide"


def _unreadable(kind: FaultKind, path: Path, error: UserError) -> Fault:
    """A fault told by the readers of files, whose messages begin with the file."""
    return Fault(kind, str(path), str(error).removeprefix(f"{path}: "))
