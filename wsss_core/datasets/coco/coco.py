"""Data sets in MS-COCO's form, ``instances_*.json``.

``annotations/instances_<split>.json`` lists the images of a split and their objects; the image files are in
``<split>/`` or ``images/<split>/``. Masks are drawn from the objects' outlines or made from COCO-Stuff's pixel maps.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.config.dataset import CocoDataset
from wsss_core.datasets.class_names import unknown_class_faults
from wsss_core.datasets.coco.coco_file_names import image_id_of, missing_image_faults
from wsss_core.datasets.coco.coco_instances import Instances, read_instances
from wsss_core.datasets.coco.coco_masks import crowd_pixels, draw_instances, draw_stuff, undrawn
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.index import SPLITS, DatasetIndex
from wsss_core.datasets.raw_dataset import ListedImage, Listing, MaskSource, RawDataset
from wsss_core.datasets.shrinking import shrunken_size
from wsss_core.errors import UserError

ANNOTATIONS = "annotations"
IMAGES = "images"
STUFF_SPLITS = ("train2017", "val2017")
"""Folders in COCO-Stuff's archive; the splits of 2014 divide the images differently."""


class CocoFolder(RawDataset):
    """A folder with MS-COCO's images and annotations."""

    settings: CocoDataset
    masks_are_quick = False  # up to a hundred thousand masks are drawn from polygons

    def inputs(self, splits: Sequence[str] = SPLITS) -> list[Path]:
        """The folders of images and the files that describe them; test images without labels are not supported."""
        described = [split for split in splits if split in SPLITS]
        files = [path for split in described for path in (self._image_folder(split), self._instances_json(split))]
        return list(dict.fromkeys(files))

    def mask_inputs(self) -> list[Path]:
        """The files of objects, or COCO-Stuff's folders, existing or not."""
        stuff = self.settings.stuff_masks
        if stuff is None:
            return [self._instances_json(split) for split in SPLITS]
        folders = [stuff / name for name in (*(self._name(split) for split in SPLITS), *STUFF_SPLITS)]
        return [stuff, *(folder for folder in dict.fromkeys(folders) if folder.is_dir())]

    def list_images(self, splits: Sequence[str] = SPLITS) -> Listing:
        """Read the files, without the objects' outlines."""
        listing = Listing(self.settings.classes, faults=self._layout_faults(splits))
        unknown: list[tuple[str, str, str]] = []
        listed: dict[str, str] = {}
        for split in self._usable_splits(splits):
            try:
                instances = read_instances(self._instances_json(split))
            except UserError as error:
                path = str(self._instances_json(split))
                detail = str(error).removeprefix(f"{path}: ")
                listing.faults.append(Fault(FaultKind.BROKEN_ANNOTATION, path, detail))
                continue
            self._add_split(split, instances, listing, listed, unknown)
        listing.faults += unknown_class_faults(unknown, listing.classes)
        return listing

    def masks(self, index: DatasetIndex) -> Iterator[tuple[str, MaskSource]]:
        """Calls that draw the masks from the objects' outlines or COCO-Stuff's pixel maps.

        There are no masks if the annotations have only boxes.

        Raises:
            UserError: a file cannot be read, or there is no pixel map of any image.
        """
        maps = 0
        for split in SPLITS:
            part = index.split(split)
            instances = read_instances(self._instances_json(split))
            number = {name: k + 1 for k, name in enumerate(index.classes)}
            class_numbers = {key: number[name] for key, name in instances.categories.items() if name in number}
            if self.settings.stuff_masks is not None:
                for found in self._pixel_maps(self.settings.stuff_masks, self._name(split), part, class_numbers):
                    maps += 1
                    yield found
            elif instances.has_segmentations:
                yield from _drawings(instances, part, class_numbers, self.settings)
        if self.settings.stuff_masks is not None and not maps:
            wanted = "expected <id>.png, in it or in a folder of the split's name"
            raise UserError(f"{self.settings.stuff_masks}: holds no pixel map of any image; {wanted}")

    @staticmethod
    def lost_pixels(source: MaskSource, mask: np.ndarray, classes: int) -> np.ndarray | None:
        """Ignored pixels in each class's crowd regions."""
        if isinstance(source, Path) or source.func is not draw_instances:
            return None
        instances_json, spans, class_numbers, height, width = source.args
        return crowd_pixels(instances_json, spans, class_numbers, mask, classes, height, width)

    def on_ignored_classes(self) -> str:
        """In masks drawn from the objects, only crowds are ignored."""
        if self.settings.stuff_masks is not None:
            return ""
        return (
            ": their objects are crowds ('iscrowd: 1'); CVAT's export marks everything drawn with a brush as such. "
            "'dataset.crowds: objects' counts them as objects"
        )

    def unfit_settings(self) -> list[str]:
        """A missing folder of pixel maps."""
        stuff = self.settings.stuff_masks
        if stuff is None or stuff.is_dir():
            return []
        return [f"dataset.stuff_masks: there is no folder {stuff}; expected COCO-Stuff's pixel maps, <id>.png"]

    def has_masks(self) -> bool:
        """Whether there is a file or folder that masks come from."""
        stuff = self.settings.stuff_masks
        return super().has_masks() if stuff is None else stuff.is_dir()

    def _add_split(
        self,
        split: str,
        instances: Instances,
        listing: Listing,
        listed: dict[str, str],
        unknown: list[tuple[str, str, str]],
    ) -> None:
        """Add the images of a split to the listing.

        Args:
            split: ``train`` or ``val``.
            instances: its file.
            listing: what has been read so far.
            listed: the split by image id, of all images so far.
            unknown: names of classes that are not in the class list, with image id and file.
        """
        file = str(instances.path)
        listing.faults += [_with_image_id(fault) for fault in instances.faults]
        if not instances.images:
            listing.faults.append(Fault(FaultKind.LIST, file, "lists no images; expected some in 'images'"))
        names, strangers = _names_by_file(instances, listing.classes, unknown)
        listing.faults += strangers
        folder = self._image_folder(split)
        missing: list[ListedImage] = []
        for number, image in instances.images.items():
            image_id = image_id_of(image.file_name)
            if image_id is None:
                wanted = "expected a path in the image folder, with '/' between folders and without '..'"
                detail = f"image {number} has the file name {image.file_name!r}; {wanted}"
                listing.faults.append(Fault(FaultKind.IMAGE_ID, file, detail, image.file_name))
            elif listed.get(image_id) == split:
                detail = (
                    f"image {number} ({image.file_name!r}) has the id {image_id!r} of an earlier one; keep one of them"
                )
                listing.faults.append(Fault(FaultKind.REPEATED_ID, file, detail, image_id))
            elif image_id in listed:
                detail = (
                    f"{image_id!r} is also in {self._instances_json(listed[image_id]).name}; remove it from one of them"
                )
                listing.faults.append(Fault(FaultKind.SHARED_ID, file, detail, image_id))
            else:
                listed[image_id] = split
                labels = frozenset(names.get(image.file_name, ())).intersection(listing.classes)
                described = f"{file} (image {number})"
                entry = ListedImage(image_id, split, folder / image.file_name, labels, described, image.size)
                if os.path.isfile(entry.image):
                    listing.images.append(entry)
                elif folder.is_dir():
                    missing.append(entry)
        listing.faults += missing_image_faults(missing, folder)

    def _pixel_maps(
        self, folder: Path, split_name: str, index: DatasetIndex, class_numbers: Mapping[int | str, int]
    ) -> Iterator[tuple[str, MaskSource]]:
        for image_id in index.image_ids:
            # The downloadable maps have the names of 2017: only the numbers of the same images.
            number = image_id.rpartition("_")[2]
            names = [folder / f"{image_id}.png", folder / split_name / f"{image_id}.png"]
            names += [folder / other / f"{number}.png" for other in STUFF_SPLITS if number.isdecimal()]
            found = next((path for path in names if os.path.isfile(path)), None)
            if found is not None:
                yield image_id, partial(draw_stuff, found, class_numbers)

    def _name(self, split: str) -> str:
        return str(getattr(self.settings.splits, split))

    def _instances_json(self, split: str) -> Path:
        return self.root / ANNOTATIONS / f"instances_{self._name(split)}.json"

    def _image_folder(self, split: str) -> Path:
        folders = [self.root / self._name(split), self.root / IMAGES / self._name(split)]
        return next((folder for folder in folders if folder.is_dir()), folders[0])

    def _usable_splits(self, splits: Sequence[str]) -> list[str]:
        """The splits with an existing file, each file once."""
        files = {self._instances_json(split): split for split in reversed(splits)}
        return [split for path, split in reversed(files.items()) if path.is_file()]

    def _layout_faults(self, splits: Sequence[str]) -> list[Fault]:
        """Faults for missing folders and files."""
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            wanted = f"expected a folder that holds {ANNOTATIONS} and a folder of images for each split"
            return [Fault(FaultKind.LAYOUT, str(self.root), f"{what}; {wanted}")]
        faults = []
        hint = ""
        if not (self.root / ANNOTATIONS).is_dir():
            deeper = [*self.root.glob(f"*/{ANNOTATIONS}"), *self.root.glob(f"*/*/{ANNOTATIONS}")]
            hint = f" ({deeper[0]} exists: is 'root' one folder too high?)" if deeper else ""
        there = ", ".join(sorted(path.name for path in (self.root / ANNOTATIONS).glob("*.json"))) or "none"
        seen: dict[Path, str] = {}
        for split in splits:
            path, folder = self._instances_json(split), self._image_folder(split)
            if path in seen:
                detail = f"is used for both splits; give '{seen[path]}' and '{split}' in 'splits' different names"
                faults.append(Fault(FaultKind.LIST, str(path), detail))
                continue
            seen[path] = split
            if not path.is_file():
                detail = f"expected the objects of the {split} images (files there: {there}){hint}"
                faults.append(Fault(FaultKind.LAYOUT, str(path), detail))
            if not folder.is_dir():
                detail = f"expected a folder with the {split} images, here or in {self.root / IMAGES}{hint}"
                faults.append(Fault(FaultKind.LAYOUT, str(folder), detail))
        return faults


def _with_image_id(fault: Fault) -> Fault:
    """The fault with the image's id in place of its file's name."""
    image_id = None if fault.image_id is None else image_id_of(fault.image_id) or fault.image_id
    return Fault(fault.kind, fault.file, fault.detail, image_id)


def _names_by_file(
    instances: Instances, classes: Sequence[str], unknown: list[tuple[str, str, str]]
) -> tuple[dict[str, set[str]], list[Fault]]:
    """The class names in each image file, and faults for annotations without image or category; adds to ``unknown``."""
    names: dict[str, set[str]] = {}
    faults: list[Fault] = []
    known = set(classes)
    unlisted: dict[int | str, None] = {}  # an ordered set
    for number, category in instances.annotated():
        if number not in instances.images:
            unlisted[number] = None
            continue
        file_name = instances.images[number].file_name
        if category not in instances.categories:
            image_id = image_id_of(file_name) or file_name
            detail = f"image {number} ({image_id}) has an object of category {category!r}, which is not in 'categories'"
            faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(instances.path), detail, image_id))
            continue
        name = instances.categories[category]
        names.setdefault(file_name, set()).add(name)
        if name not in known:
            unknown.append((name, image_id_of(file_name) or file_name, str(instances.path)))
    for number in unlisted:
        detail = f"has annotations of image {number!r}, which is not in 'images'; add it, or remove them"
        faults.append(Fault(FaultKind.BROKEN_ANNOTATION, str(instances.path), detail, str(number)))
    return names, faults


def _drawings(
    instances: Instances, index: DatasetIndex, class_numbers: Mapping[int | str, int], settings: CocoDataset
) -> Iterator[tuple[str, MaskSource]]:
    """Calls that draw the masks of the index's images; a mask without objects is all background.

    A mask is drawn at the size that the file gives, which is the image's, or that of its smaller copy.
    """
    options = {"crowds_are_objects": True} if settings.crowds == "objects" else {}
    spans = instances.spans()
    numbers: dict[str, list[int | str]] = {}
    files: dict[str, str] = {}
    for number, image in instances.images.items():
        image_id = image_id_of(image.file_name) or ""
        if files.setdefault(image_id, image.file_name) == image.file_name:  # of two files with the same id, the first
            numbers.setdefault(image_id, []).append(number)
    for image_id, height, width in zip(index.image_ids, index.table["height"], index.table["width"], strict=True):
        of_image = numbers.get(image_id, [])
        size = next((instances.images[number].size for number in of_image), None) or (int(height), int(width))
        copy = (height, width) if settings.long_side is None else shrunken_size((height, width), settings.long_side)
        if size not in ((height, width), copy):
            yield image_id, partial(undrawn, *size)
            continue
        where = [span for number in of_image for span in spans.get(number, ())]
        yield image_id, partial(draw_instances, instances.path, tuple(where), class_numbers, *size, **options)
