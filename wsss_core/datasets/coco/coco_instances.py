"""Reads MS-COCO's ``instances_*.json`` with little memory: polygons stay in the file until they are drawn."""

from array import array
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from wsss_core.datasets.coco.json_records import JsonRecords, Record
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.image_check import Size
from wsss_core.errors import UserError

ARRAYS = ("images", "annotations", "categories")
"""The members that the file must have."""


LONGEST = 1_000_000
"""The largest height or width of an image, pixels; a larger one counts as not given."""


class CocoImage(NamedTuple):
    """An entry of ``images``."""

    file_name: str
    """The image file, relative to the folder of the split."""
    size: Size | None
    """Height and width, if they are given."""


@dataclass
class Instances:
    """Images, categories and annotations of one file; annotations are stored as numbers, in the file's order."""

    path: Path
    """The file."""
    categories: dict[int | str, str] = field(default_factory=dict)
    """Name by category id."""
    images: dict[int | str, CocoImage] = field(default_factory=dict)
    """Images by their number (``id``), in the file's order. Several numbers may have the same image file."""
    faults: list[Fault] = field(default_factory=list)
    """What is wrong with the entries; ``image_id`` is the image's file name if known, else its number."""
    has_segmentations: bool = False
    """Whether any annotation has more than a box."""
    _image_numbers: dict[Hashable, int] = field(default_factory=dict)
    _category_numbers: dict[Hashable, int] = field(default_factory=dict)
    _annotations: tuple[array, array, array, array] = field(
        default_factory=lambda: (array("q"), array("q"), array("q"), array("q"))
    )

    def annotated(self) -> list[tuple[Any, Any]]:
        """Pairs of an image number and a category id that an annotation has, each once."""
        images, categories, _, _ = self._columns()
        pairs = np.unique(images * len(self._category_numbers) + categories) if len(images) else images
        by_image, by_category = list(self._image_numbers), list(self._category_numbers)
        return [(by_image[pair // len(by_category)], by_category[pair % len(by_category)]) for pair in pairs.tolist()]

    def spans(self) -> Mapping[Any, list[tuple[int, int]]]:
        """The places of each image's annotations in the file (offset and length, bytes), by image number."""
        images, _, offsets, lengths = self._columns()
        order = np.argsort(images, kind="stable")
        ends = np.cumsum(np.bincount(images, minlength=len(self._image_numbers))).tolist()
        pairs = list(zip(offsets[order].tolist(), lengths[order].tolist(), strict=True))
        starts = [0, *ends[:-1]]
        return {number: pairs[start:end] for number, start, end in zip(self._image_numbers, starts, ends, strict=True)}

    def add(self, record: Record) -> None:
        """Add an element of one of the arrays; if it is wrong, add a fault."""
        if record.member in ARRAYS:
            entry = record.value
            if not isinstance(entry, dict):
                self._fault(f"has {_short(entry)} among '{record.member}'; expected an object {{...}}")
            elif record.member == "images":
                self._add_image(entry)
            elif record.member == "categories":
                self._add_category(entry)
            else:
                self._add_annotation(entry, record)

    def _add_image(self, entry: Mapping[str, Any]) -> None:
        number, name = entry.get("id"), entry.get("file_name")
        if not _is_id(number) or not isinstance(name, str) or not name:
            wanted = "expected a number or text as 'id' and a text as 'file_name'"
            known = name if isinstance(name, str) and name else None
            self._fault(f"has an image with the id {_short(number)} and the file {_short(name)}; {wanted}", known)
            return
        height, width = entry.get("height"), entry.get("width")
        size = (height, width) if _is_length(height) and _is_length(width) else None
        if number not in self.images:
            self.images[number] = CocoImage(name, size)
        elif (other := self.images[number].file_name) == name:
            detail = f"lists image {number} ({name!r}) twice; keep one entry"
            self._fault(detail, name, FaultKind.REPEATED_ID)
        else:
            for file in (other, name):
                self._fault(f"gives {other!r} and {name!r} the same id {number}; they need two", file)

    def _add_category(self, entry: Mapping[str, Any]) -> None:
        number, name = entry.get("id"), entry.get("name")
        if not _is_id(number) or not isinstance(name, str) or not name.strip():
            wanted = "expected a number as 'id' and a text as 'name'"
            self._fault(f"has a category with the id {_short(number)} and the name {_short(name)}; {wanted}")
        elif self.categories.setdefault(number, name.strip()) != name.strip():
            self._fault(f"gives {self.categories[number]!r} and {name!r} the same category id {number}")

    def _add_annotation(self, entry: Mapping[str, Any], record: Record) -> None:
        image, category = entry.get("image_id"), entry.get("category_id")
        if not _is_id(image) or not _is_id(category):
            wanted = "expected numbers as 'image_id' and 'category_id', as in instances_*.json"
            what = f"has an annotation (id {_short(entry.get('id'))}) of the image {_short(image)}"
            self._fault(f"{what} with the category {_short(category)}; {wanted}", self._name(image))
            return
        if entry.get("segmentation"):
            self.has_segmentations = True
        images, categories, offsets, lengths = self._annotations
        images.append(self._image_numbers.setdefault(image, len(self._image_numbers)))
        categories.append(self._category_numbers.setdefault(category, len(self._category_numbers)))
        offsets.append(record.offset)
        lengths.append(record.length)

    def _name(self, number: Any) -> str | None:
        """What to call an image in a fault."""
        if not _is_id(number):
            return None
        return self.images[number].file_name if number in self.images else str(number)

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        images, categories, offsets, lengths = (np.frombuffer(column, np.int64) for column in self._annotations)
        return images, categories, offsets, lengths

    def _fault(self, detail: str, file_name: str | None = None, kind: FaultKind = FaultKind.BROKEN_ANNOTATION) -> None:
        self.faults.append(Fault(kind, str(self.path), detail, file_name))


def read_instances(path: Path) -> Instances:
    """Read a file.

    Raises:
        UserError: it cannot be read, or is not JSON of COCO's form.
    """
    instances, records = Instances(path), JsonRecords(path)
    for record in records:
        instances.add(record)
    missing = [name for name in ARRAYS if name not in records.arrays]
    if missing:
        lacking = " and ".join(repr(name) for name in missing)
        wanted = "expected an object with the lists 'images', 'annotations' and 'categories', as in instances_*.json"
        raise UserError(f"{path}: has no list {lacking}; {wanted}")
    return instances


def _is_id(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_length(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
