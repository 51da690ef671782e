"""The user's own data sets: a folder of images and a table of what they show.

``images/`` holds the images, at any depth; ``labels.csv`` says what they show (``label_table``). Optionally,
``masks/a/b.png`` is the mask of ``images/a/b.jpg``, and ``splits.csv`` says which image is for training, validation or
neither (``folder_splits``). docs/datasets.md describes it for users.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wsss_core.config.dataset import FolderDataset
from wsss_core.datasets.class_names import unknown_class_faults
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.folder.csv_table import folded
from wsss_core.datasets.folder.folder_splits import SPLIT_COLUMNS, FolderSplits, drawn_splits, read_splits
from wsss_core.datasets.folder.label_table import LabelTable, read_label_table
from wsss_core.datasets.folder.split_folders import splits_by_folder
from wsss_core.datasets.image_ids import ImageFiles, find_image_files, folders_in, is_text
from wsss_core.datasets.index import SPLITS, TEST, DatasetIndex
from wsss_core.datasets.raw_dataset import ListedImage, Listing, MaskSource, RawDataset
from wsss_core.datasets.unreadable_images import IN_WORDS
from wsss_core.errors import UserError

IMAGES, LABELS, MASKS, SPLIT_TABLE = "images", "labels.csv", "masks", "splits.csv"
"""The folder's content; the last two are optional."""
log = logging.getLogger(__name__)


class ImageFolder(RawDataset):
    """A folder with ``images`` and ``labels.csv``, and optionally ``masks`` and ``splits.csv``."""

    settings: FolderDataset

    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """All folders of images (the outer folder's time does not change when an image is added deeper), and tables."""
        images = self.root / IMAGES
        return [*_folders(images), self.root / LABELS, self.root / SPLIT_TABLE]

    def mask_inputs(self) -> list[Path]:
        """All folders of masks."""
        return _folders(self.root / MASKS)

    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Find the images, and read the tables."""
        classes = self.settings.classes
        listing = Listing(classes or (), faults=self._layout_faults())
        images = find_image_files(self.root / IMAGES)
        listing.faults += images.faults
        if (self.root / IMAGES).is_dir() and not images.files and not images.faults:
            detail = f"holds no image; expected files of these formats, with their suffixes: {IN_WORDS}"
            listing.faults.append(Fault(FaultKind.LAYOUT, str(images.folder), detail))
        table = LabelTable(self.root / LABELS, classes=classes or ())
        if table.path.is_file():
            table = read_label_table(table.path, classes)
        listing.classes = table.classes
        listing.warnings += table.warnings
        listing.faults += table.faults
        labels, lines = _labels_of_images(table, images, listing)
        parts = self._splits(images, labels, listing)
        listing.warnings += self._unused_column(table)
        for split in splits:
            for image_id, path in images.files.items():
                if parts.get(image_id) == split:
                    place = table.at(lines[image_id]) if image_id in lines else str(table.path)
                    known = frozenset(labels.get(image_id, ())).intersection(listing.classes)
                    listed = image_id in lines
                    listing.images.append(ListedImage(image_id, split, path, known, place, listed=listed))
        listing.warnings += self._never_validated(listing, splits)
        return listing

    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """The files in ``masks`` with the same relative paths as the images in ``images``."""
        folder = self.root / MASKS
        found = find_image_files(folder)
        # Of two files with the same name the PNG is the mask; without a PNG, reading raises an error that says so.
        doubled = {fault.image_id: folder / f"{fault.image_id}.png" for fault in found.faults}
        masks = {**found.files, **{image_id: path for image_id, path in doubled.items() if image_id}}
        self._warn_of_strangers(masks, index)
        for image_id in index.image_ids:
            if image_id in masks:
                yield image_id, masks[image_id]

    def _warn_of_strangers(self, masks: Mapping[str, Path], index: DatasetIndex) -> None:
        """Warn of masks that belong to no image, not even to one that was left out: their names are wrong."""
        strangers = sorted(masks.keys() - set(index.image_ids))
        if strangers:
            images = find_image_files(self.root / IMAGES)
            strangers = [image_id for image_id in strangers if image_id not in images.files]
        if not strangers:
            return
        what = f"{masks[strangers[0]]}: belongs to no image"
        wanted = f"a mask has its image's name, {self.root / MASKS}/a/b.png for {self.root / IMAGES}/a/b.jpg"
        if len(strangers) == len(masks):
            raise UserError(f"{what}, nor does any other file there; {wanted}")
        log.warning("%s (%d of %d like it); %s", what, len(strangers), len(masks), wanted)

    def _layout_faults(self) -> list[Fault]:
        root = self.root
        if not root.is_dir():
            what = "is a file" if root.exists() else "does not exist"
            detail = f"{what}; expected a folder that holds {IMAGES}/ and {LABELS}"
            return [Fault(FaultKind.LAYOUT, str(root), detail)]
        faults = []
        if not (root / IMAGES).is_dir():
            deeper = sorted(root.glob(f"*/{IMAGES}"))
            hint = f" ({deeper[0]} exists: is 'root' one folder too high?)" if deeper else ""
            parts = [name for name in ("train", "valid", "val", "test") if (root / name).is_dir()]
            if parts and not deeper:
                hint = f" ({' and '.join(f'{name}/' for name in parts)} are there: move them into {IMAGES}/)"
            faults.append(Fault(FaultKind.LAYOUT, str(root / IMAGES), f"expected a folder with the images{hint}"))
        if not (root / LABELS).is_file():
            near = sorted(path.name for path in root.iterdir() if path.stem.casefold() in ("labels", "label"))
            hint = f" ({near[0]!r} is there: save or rename it as {LABELS})" if near else ""
            if (root / IMAGES / LABELS).is_file():
                hint = f" ({root / IMAGES / LABELS} is there: move it out of {IMAGES}/)"
            detail = f"expected a table of what the images show, with the columns 'image' and 'label'{hint}"
            faults.append(Fault(FaultKind.LAYOUT, str(root / LABELS), detail))
        return [*faults, *self._unused()]

    def _unused(self) -> list[Fault]:
        """Faults for optional files and folders with a wrong form or name, which would not be used."""
        faults = []
        for name, right, what in ((SPLIT_TABLE, Path.is_file, "a table"), (MASKS, Path.is_dir, "a folder")):
            path = self.root / name
            if (path.exists() or path.is_symlink()) and not right(path):
                faults.append(Fault(FaultKind.LAYOUT, str(path), f"is not {what}; expected {what}, or nothing"))
            for other in sorted(self.root.iterdir()):
                if other.name != name and other.name.casefold() == name.casefold():
                    faults.append(Fault(FaultKind.LAYOUT, str(other), f"is not used: rename it as {name!r}"))
        return faults

    def _splits(self, images: ImageFiles, labels: dict[str, set[str]], listing: Listing) -> dict[str, str]:
        """The splits of the images: from the table, from the folders' names, or drawn at random."""
        path = self.root / SPLIT_TABLE
        if not path.is_file():
            found = splits_by_folder(images.files)
            if found.why_not:
                detail = (
                    f"{found.why_not}; so the splits are drawn at random from all images. To choose them, write "
                    f"{SPLIT_TABLE}"
                )
                listing.warnings.append(Fault(FaultKind.SPLIT_FOLDERS, str(images.folder), detail))
            if found.splits:
                return self._splits_of_folders(found.splits, labels)
            # An image without a row goes to the training split, which leaves it out: its classes are unknown.
            known = images.files if self.settings.negatives == "all" else labels
            drawn = drawn_splits(sorted(known), self.settings.val_share, self.settings.split_seed)
            shown = sum(split == "val" for split in drawn.values())
            log.info(
                "%s: no %s; %d of %d images are for validation, drawn by their ids (val_share %s, split_seed %d)",
                *(self.root, SPLIT_TABLE, shown, len(drawn), self.settings.val_share, self.settings.split_seed),
            )
            return {**dict.fromkeys(images.files, "train"), **drawn}
        read: FolderSplits = read_splits(path, images)
        listing.faults += read.faults
        missing = [image_id for image_id in images.files if image_id not in read.splits]
        if missing and not read.faults:
            detail = f"does not name {missing[0]!r} ({len(missing)} images like it); they are left out"
            listing.warnings.append(Fault(FaultKind.UNLISTED_IMAGE, str(path), detail))
        kept = sum(split == "test" for split in read.splits.values())
        if kept:
            log.info("%s: %d images of the split 'test' are neither trained on nor predicted", path, kept)
        return read.splits

    def _unused_column(self, table: LabelTable) -> list[Fault]:
        """A warning if the table of labels has a column of splits and there is no table of splits."""
        columns = [name for name in table.heading if folded(name) in SPLIT_COLUMNS]
        if table.one_hot or not columns or (self.root / SPLIT_TABLE).exists():
            return []
        detail = (
            f"the column {columns[0]!r} is not used; if it says which images are for training, copy it and the column "
            f"of images to {SPLIT_TABLE}"
        )
        return [Fault(FaultKind.UNUSED_COLUMN, str(table.path), detail)]

    def _splits_of_folders(self, splits: Mapping[str, str], labels: dict[str, set[str]]) -> dict[str, str]:
        """The splits that the folders' names say; without one for validation, it is drawn from the training images."""
        splits = dict(splits)
        drawn = ""
        if "val" not in splits.values():
            train = sorted(image_id for image_id in labels if splits[image_id] == "train")
            splits |= drawn_splits(train, self.settings.val_share, self.settings.split_seed)
            drawn = ", val drawn from train by the images' ids"
        counts = {name: sum(split == name for split in splits.values()) for name in (*SPLITS, TEST)}
        in_words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        log.warning(
            "%s: no %s; the folders' names say the splits: %s%s%s",
            *(self.root, SPLIT_TABLE, in_words, drawn),
            " (test: neither trained on nor predicted)" if counts[TEST] else "",
        )
        return splits

    def _never_validated(self, listing: Listing, splits: Sequence[str]) -> list[Fault]:
        """A warning for each class that no validation image shows."""
        shown = {name for image in listing.images if image.split == "val" for name in image.labels}
        if "val" not in splits or not any(image.split == "val" for image in listing.images):
            return []
        detail = "no validation image shows {!r}; scores will not tell how well it is found"
        absent = [name for name in listing.classes if name not in shown]
        return [Fault(FaultKind.RARE_CLASS, str(self.root), detail.format(name)) for name in absent]


def _folders(folder: Path) -> list[Path]:
    """The folder, existing or not, and its subfolders, except those with names that the check reports as invalid."""
    inner = [path for path in folders_in(folder) if path != folder and is_text(str(path))]
    return [folder, *inner]


def _labels_of_images(
    table: LabelTable, images: ImageFiles, listing: Listing
) -> tuple[dict[str, set[str]], dict[str, int]]:
    """The labels of the images with a row, and the line of each image's first row; faults go to ``listing``."""
    labels: dict[str, set[str]] = {}
    lines: dict[str, int] = {}
    absent: set[str] = set()
    unknown: list[tuple[str, str, str]] = []
    broken = {fault.image_id for fault in images.faults}
    for line, name, names in table.rows:
        image_id = images.find(name)
        if image_id is None:
            if name not in absent and name.rpartition(".")[0] not in broken and name not in broken:
                absent.add(name)
                listing.faults.append(Fault(FaultKind.MISSING_IMAGE, table.at(line), images.missing(name), name))
            continue
        if table.one_hot and image_id in labels:
            detail = f"{image_id!r} is in line {lines[image_id]} already; keep one of them"
            listing.faults.append(Fault(FaultKind.REPEATED_ID, table.at(line), detail, image_id))
            continue
        labels.setdefault(image_id, set()).update(names)
        lines.setdefault(image_id, line)
        unknown += [(name, image_id, table.at(line)) for name in sorted(names.difference(table.classes))]
    listing.warnings += images.unread({path for name in absent if (path := images.other(name)) is not None})
    listing.faults += unknown_class_faults(unknown, table.classes)
    for line, name, detail in table.row_faults:
        at_fault = (images.find(name) if name else None) or name
        listing.faults.append(Fault(FaultKind.TABLE_ROW, table.at(line), detail, at_fault))
    return labels, lines
