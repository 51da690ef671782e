"""Segment masks without classes, from any generator: a folder of PNG files, or a JSON file, for each image."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from wsss_core.datasets.coco.coco_masks import run_lengths
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.shrinking import shrink_mask
from wsss_core.errors import UserError

Size = tuple[int, int]
"""Height and width, pixels."""
INSIDE = 255
"""The value of a mask's pixels in a PNG file."""
FORM = "<image id>/*.png, or <image id>.json with run lengths"
_LISTS = (".csv", ".json", ".txt")
"""Lists of the masks that generators write next to PNG files; not read."""


class OtherSize(UserError):
    """A mask and its image differ in size."""


class Segment(NamedTuple):
    """A mask, cut to its bounding box."""

    top: int
    left: int
    inside: np.ndarray
    """bool (h, w); (0, 0) for an empty mask."""

    @property
    def box(self) -> tuple[slice, slice]:
        """Its rows and columns in the image."""
        height, width = self.inside.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def source_of_masks(folder: Path, image_id: str) -> Path | None:
    """Where an image's masks are: a folder or a JSON file; None if there is neither.

    Raises:
        UserError: both exist.
    """
    of_files, of_lengths = folder / image_id, folder / f"{image_id}.json"
    found = [path for path, there in ((of_files, of_files.is_dir()), (of_lengths, of_lengths.is_file())) if there]
    if len(found) > 1:
        raise UserError(f"{of_files}: there is also {of_lengths.name}; keep the one with the image's masks")
    return found[0] if found else None


def read_sam_masks(source: Path, size: Size, smaller: Size | None = None) -> list[Segment]:
    """Read an image's masks, sorted by file name, or in the order of the JSON file.

    Args:
        source: a folder of PNG files, or a JSON file: a list of records with ``segmentation``, COCO run lengths, or an
            object with that list under ``annotations`` (SA-1B).
        size: the image's height and width.
        smaller: the size that the image was shrunk to; masks of either size are accepted, and shrunk to this one.

    Raises:
        OtherSize: a mask has another size.
        UserError: a file cannot be read, or holds something else.
    """
    sizes = [size] if smaller is None else [size, smaller]
    segments = []
    for mask in _of_files(source, sizes) if source.is_dir() else _of_run_lengths(source, sizes):
        segments.append(segment_of(mask if smaller in (None, mask.shape) else shrink_mask(mask, smaller)))
    return segments


def segment_of(mask: np.ndarray) -> Segment:
    """A mask, bool (H, W), cut to its bounding box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Segment(0, 0, np.zeros((0, 0), dtype=bool))
    top, left = int(rows[0]), int(columns[0])
    return Segment(top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1].copy())


def _check_size(name: str, size: Sequence[int], allowed: list[Size]) -> None:
    if tuple(size) not in allowed:
        of_image = " or ".join(f"{height} x {width}" for height, width in allowed)
        raise OtherSize(f"{name}: the mask has {' x '.join(map(str, size))} pixels, its image {of_image}")


def _of_files(folder: Path, sizes: list[Size]) -> Iterator[np.ndarray]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    masks = [path for path in files if path.suffix.lower() == ".png"]
    others = [path for path in files if path.suffix.lower() not in (".png", *_LISTS)]
    if others and not masks:
        raise UserError(f"{folder}: holds {others[0].name}, but no PNG file; a mask is a PNG, 255 inside and 0 outside")
    for path in masks:
        mask = read_mask(path)
        values = np.unique(mask)
        if strange := [int(value) for value in values if value not in (0, INSIDE)]:
            raise UserError(f"{path}: has the value {strange[0]}; a segment mask is 255 inside and 0 outside")
        _check_size(str(path), mask.shape, sizes)
        yield mask == INSIDE


def _of_run_lengths(file: Path, sizes: list[Size]) -> Iterator[np.ndarray]:
    for number, record in enumerate(_records(file), start=1):
        name = f"{file}: mask {number}"
        segmentation = record.get("segmentation") if isinstance(record, dict) else None
        if not isinstance(segmentation, dict):
            raise UserError(f'{name}: has no run lengths; expected {{"segmentation": {{"size": ..., "counts": ...}}}}')
        size = segmentation.get("size")
        if not isinstance(size, list) or len(size) != 2:
            raise UserError(f"{name}: has no 'size'; expected [height, width]")
        _check_size(name, size, sizes)
        try:
            yield coco_mask.decode(run_lengths(segmentation, *size)).astype(bool)
        except ValueError as error:
            raise UserError(f"{name}: {error}") from None


def _records(file: Path) -> list[Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is not a JSON file, or is damaged ({error})") from None
    records = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise UserError(f"{file}: holds no list of masks; expected a list of records with 'segmentation'")
    return records
