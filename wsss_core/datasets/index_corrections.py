"""Checks a folder of hand-corrected masks and writes a table of them for training."""

from pathlib import Path

from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind, write_faults
from wsss_core.datasets.image_ids import find_image_files
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.index_masks import DRAWN
from wsss_core.datasets.label_maps import write_label_manifest
from wsss_core.datasets.mask_check import check_mask
from wsss_core.errors import UserError
from wsss_core.jobs.progress import progress


def corrected_masks_in(folder: Path) -> dict[str, Path]:
    """The masks of a folder by image id (the file name without suffix); none if there is no such folder."""
    return find_image_files(folder, [".png"]).files


def index_corrections(folder: Path, index: DatasetIndex, masks_csv: Path) -> None:
    """Check corrected masks, copy them next to the table, and write the table.

    Args:
        folder: holds ``<image id>.png``, of the size of the images in the index, or of the original images if these
            were shrunk.
        index: the data set.
        masks_csv: the table to write: image id and mask file.

    Raises:
        DatasetFaults: a mask belongs to no training image, cannot be read, or has a wrong size or value; lists all.
        UserError: there is no mask, or every training image has one.
    """
    train = index.split("train")
    rows = {image_id: row for row, image_id in enumerate(train.image_ids)}
    masks = corrected_masks_in(folder)
    if not masks:
        raise UserError(f"{folder}: holds no mask; `python -m wsss_core labels import` makes such a folder")
    faults: list[Fault] = []
    for image_id, file in progress(list(masks.items()), "Checking corrected masks"):
        if image_id not in rows:
            split = "a validation image: its mask is for scoring only" if image_id in index.image_ids else "no image"
            detail = f"{image_id!r} is {split}; this folder is for masks of training images"
            faults.append(Fault(FaultKind.IMAGE_ID, str(file), detail, image_id))
            continue
        small, original = train.sizes[rows[image_id]], train.original().sizes[rows[image_id]]
        target = masks_csv.parent / DRAWN / f"{image_id}.png"
        smaller = None if small == original else small
        found = check_mask(file, target, original, index.classes, smaller).found
        faults += [Fault(kind, str(file), detail.removeprefix(f"{file}: "), image_id) for kind, detail in found]
    if faults:
        write_faults(masks_csv.with_name("faults.csv"), faults)
        raise DatasetFaults(f"the corrected masks in {folder}", faults, table=masks_csv.with_name("faults.csv"))
    if len(masks) == len(train):
        raise UserError(
            f"{folder}: holds a mask of each of the {len(train)} training images, but 'masks_of' is for masks of some; "
            "make them the masks of the data set, and set 'labels: masks'"
        )
    masks_csv.with_name("faults.csv").unlink(missing_ok=True)
    write_label_manifest({image_id: Path(DRAWN, f"{image_id}.png") for image_id in masks}, masks_csv)
