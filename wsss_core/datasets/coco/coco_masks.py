"""Masks of MS-COCO: drawn from an image's annotations, or from COCO-Stuff's pixel maps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.palette import IGNORED
from wsss_core.datasets.shrinking import shrink_mask
from wsss_core.errors import UserError

Span = tuple[int, int]
"""An annotation's place in its file: offset and length, bytes."""
THING_VALUES = range(0, 91)
"""Values of COCO-Stuff's pixel maps that are objects: the category's id minus one."""
LARGEST = 1e300
"""The largest area; a larger one, which floating-point numbers may not hold, is computed again."""
STUFF_VALUES = range(91, 182)
"""Values of COCO-Stuff's pixel maps that are grass, sky, walls, ...: background here."""


def draw_instances(
    instances_json: Path,
    spans: Sequence[Span],
    class_numbers: Mapping[int | str, int],
    height: int,
    width: int,
    crowds_are_objects: bool = False,
) -> np.ndarray:
    """Draw an image's mask from its annotations.

    Crowd regions (``iscrowd: 1``) are ignored, unless ``crowds_are_objects``. If objects overlap, the one with the
    smallest ``area`` is on top (the first, if areas are equal), as in the masks that the field's papers score with.
    Every object is above every crowd.

    Args:
        instances_json: the file of annotations.
        spans: the annotations' places in it.
        class_numbers: mask value by category id.
        height: of the image, pixels.
        width: of the image, pixels.
        crowds_are_objects: draw crowd regions like objects.

    Returns:
        uint8 (H, W): 0 background, class numbers, 255 ignored.

    Raises:
        UserError: an annotation's segmentation is missing or invalid.
    """
    objects: list[tuple[float, int, dict[str, Any]]] = []
    crowds = []
    for annotation in _annotations(instances_json, spans):
        region = _region(instances_json, annotation, height, width)
        if annotation.get("iscrowd") and not crowds_are_objects:
            crowds.append(region)
        else:
            area: Any = annotation.get("area")
            known = _is_number(area) and -LARGEST < area < LARGEST  # false of NaN
            size = area if known else float(coco_mask.area(region))
            objects.append((size, class_numbers[annotation["category_id"]], region))
    mask = np.zeros((height, width), dtype=np.uint8, order="F")  # like pycocotools' masks
    for region in crowds:
        mask[coco_mask.decode(region).astype(bool)] = IGNORED
    for _, number, region in reversed(sorted(objects, key=lambda item: item[0])):
        mask[coco_mask.decode(region).astype(bool)] = number
    return np.ascontiguousarray(mask)


def crowd_pixels(
    instances_json: Path,
    spans: Sequence[Span],
    class_numbers: Mapping[int | str, int],
    mask: np.ndarray,
    classes: int,
    height: int,
    width: int,
) -> np.ndarray:
    """How many ignored pixels of an image's mask are in crowd regions of each class.

    Args:
        instances_json: the file of annotations.
        spans: the annotations' places in it.
        class_numbers: mask value by category id.
        mask: drawn by :func:`draw_instances`, perhaps shrunk since.
        classes: K.
        height: of the image that the annotations were made on, pixels.
        width: of that image, pixels.

    Returns:
        int64 (K,), in class order.
    """
    counts = np.zeros(classes, dtype=np.int64)
    ignored = mask == ignored_in(mask)
    for annotation in _annotations(instances_json, spans):
        number = class_numbers.get(annotation["category_id"])
        if annotation.get("iscrowd") and number is not None:
            region = coco_mask.decode(_region(instances_json, annotation, height, width)).astype(bool)
            counts[number - 1] += (shrink_mask(region, mask.shape) & ignored).sum()
    return counts


def _annotations(instances_json: Path, spans: Sequence[Span]) -> Iterator[dict[str, Any]]:
    """The annotations at places in a file."""
    with open(instances_json, "rb") as file:
        for offset, length in spans:
            file.seek(offset)
            yield json.loads(file.read(length).decode("utf-8"))


def _region(instances_json: Path, annotation: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """The annotation's segmentation as run lengths; see :func:`run_lengths`.

    Raises:
        UserError: it is missing or invalid.
    """
    try:
        return run_lengths(annotation.get("segmentation"), height, width)
    except ValueError as error:
        raise UserError(f"{instances_json}: annotation {annotation.get('id')}: {error}") from error


def undrawn(height: int, width: int) -> np.ndarray:
    """An empty mask, uint8, that takes no memory: it only serves to report the wrong size."""
    return np.broadcast_to(np.uint8(0), (height, width))


def run_lengths(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """A segmentation as run lengths, in pycocotools' form.

    Args:
        segmentation: a list of polygons [x, y, x, y, ...] in pixels, or run lengths, compressed or not.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        ValueError: it has another form, or does not fit the image.
    """
    if isinstance(segmentation, list) and segmentation:
        # pycocotools reads four numbers as a box, but they are two points, without area.
        polygons = [polygon for polygon in segmentation if _checked_polygon(polygon, height, width)]
        if not polygons:
            polygons = [[0.0] * 6]
        region = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    elif isinstance(segmentation, dict):
        counts = _checked_counts(segmentation, height, width)
        region = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    else:
        raise ValueError('has no \'segmentation\'; expected a list of polygons, or {"size": ..., "counts": ...}')
    return dict(region)


def _checked_polygon(polygon: Any, height: int, width: int) -> bool:
    """Whether the polygon has an inside.

    Raises:
        ValueError: it is not a polygon of this image.
    """
    if not isinstance(polygon, list) or not all(_is_number(number) for number in polygon):
        raise ValueError("a polygon is not a list of numbers; expected [x, y, x, y, ...]")
    if not polygon or len(polygon) % 2:
        raise ValueError(f"a polygon has {len(polygon)} numbers; expected pairs of x and y")
    # Points slightly outside are common and are clipped. Far ones cost pycocotools memory, and NaN crashes it.
    for what, values, side in (("x", polygon[::2], width), ("y", polygon[1::2], height)):
        for value in values:
            if not -side <= value <= 2 * side:
                raise ValueError(f"a polygon has {what} = {value}, far outside the image ({side} pixels)")
    return len(polygon) >= 6


def _checked_counts(segmentation: Mapping[str, Any], height: int, width: int) -> list[int]:
    """Run lengths as numbers.

    Raises:
        ValueError: they are invalid, or belong to an image of another size.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"its run lengths are of the size {size}; expected {[height, width]} (height, width)")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("has run lengths ('counts') that are neither whole numbers from 0 up nor compressed text")
    if sum(counts) != height * width:
        raise ValueError(f"its run lengths cover {sum(counts)} pixels; expected {height * width}")
    return counts


def _decompressed(text: str) -> list[int]:
    """The run lengths in pycocotools' compressed text.

    A number is in groups of five bits, the lowest first; 32 says that more follow, and the last group's highest bit
    is the sign. From the fourth number on, each is the difference to the one two before. pycocotools can read this, but
    does not notice damage.
    """
    counts: list[int] = []
    value = shift = 0
    for sign in text:
        group = ord(sign) - 48
        if not 0 <= group < 64:
            raise ValueError(f"its compressed run lengths have the sign {sign!r}; they are damaged")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its compressed run lengths end too early; they are damaged")
    return counts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def draw_stuff(pixel_map: Path, class_numbers: Mapping[int | str, int]) -> np.ndarray:
    """Make an image's mask from its COCO-Stuff pixel map.

    Args:
        pixel_map: the PNG file: 0 to 90 are objects (the category's id minus one), 91 to 181 stuff, 255 unlabelled.
        class_numbers: mask value by category id.

    Returns:
        uint8 (H, W): 0 background (stuff), class numbers, 255 ignored (unlabelled).

    Raises:
        UserError: the file cannot be read, or has other values.
    """
    values = read_mask(pixel_map)
    if values.dtype != np.uint8:
        raise UserError(f"{pixel_map}: has 16-bit grey; COCO-Stuff's pixel maps have 8 bits")
    numbers = np.full(256, -1)
    numbers[list(STUFF_VALUES)] = 0
    numbers[IGNORED] = IGNORED
    for category, number in class_numbers.items():
        if isinstance(category, int) and category - 1 in THING_VALUES:
            numbers[category - 1] = number
    strange = [int(v) for v in np.flatnonzero(np.bincount(values.ravel(), minlength=256)) if numbers[v] < 0]
    if strange:
        expected = (
            f"category ids minus one, {STUFF_VALUES[0]} to {STUFF_VALUES[-1]} for stuff, {IGNORED} for unlabelled"
        )
        raise UserError(f"{pixel_map}: has the values {', '.join(map(str, strange[:8]))}; COCO-Stuff has {expected}")
    return numbers.astype(np.uint8)[values]
