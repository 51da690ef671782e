"""LabelMe's JSON: a file per image, next to it. Later shapes are on top."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsss_core.annotations.exported import Export
from wsss_core.annotations.json_files import required
from wsss_core.annotations.outlines import filled
from wsss_core.annotations.regions import (
    AnnotatedImage,
    Region,
    RunLengths,
    checked_size,
    encoded,
    labels_in_order,
)
from wsss_core.errors import UserError

LABELS = "labels.txt"
VERSION = "5.5.0"
"""The version of LabelMe whose file format is written; masks exist since 5.3."""


def write_labelme(folder: Path, export: Export) -> None:
    """Write a file next to each image, and ``labels.txt`` for ``labelme --labels``."""
    (folder / LABELS).write_text("\n".join(labels_in_order(export.classes)) + "\n", encoding="utf-8")
    for image in export.images:
        if export.shapes == "masks":
            shapes = [_shape(label, *_mask_of(mask)) for label, mask in export.masks(image)]
        else:
            shapes = [_shape(label, polygon.tolist()) for label, polygon in export.polygons(image)]
        file = folder / "images" / image.file
        document: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": file.name,
            "imageData": None,
            "imageHeight": image.size[0],
            "imageWidth": image.size[1],
        }
        file.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def _shape(label: str, points: list[list[float]], mask: str | None = None) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": "polygon" if mask is None else "mask",
        "flags": {},
        "mask": mask,
    }


def _mask_of(mask: np.ndarray) -> tuple[list[list[float]], str]:
    """The first and last pixel of a mask's box, and the box as PNG."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (int(value) for value in (rows[0], rows[-1], columns[0], columns[-1]))
    buffer = io.BytesIO()
    Image.fromarray(mask[top : bottom + 1, left : right + 1].astype(np.uint8)).save(buffer, format="PNG")
    return [[left, top], [right, bottom]], base64.b64encode(buffer.getvalue()).decode("ascii")


def read_labelme(path: Path, document: dict[str, Any], name: str) -> Iterator[AnnotatedImage]:
    """The image of a file.

    Args:
        path: the file.
        document: its content.
        name: the name of its image, relative to the folder.

    Raises:
        UserError: an entry is missing or wrong, or a shape encloses nothing.
    """
    height, width = (required(path, "file", document, key) for key in ("imageHeight", "imageWidth"))
    try:
        size = checked_size(height, width)
    except ValueError as error:
        raise UserError(f"{path}: its image {error}") from error
    regions = []
    for shape in document["shapes"]:
        label, kind, points = (required(path, "shapes", shape, key) for key in ("label", "shape_type", "points"))
        try:
            pixels = _pixels(kind, np.array(points, dtype=float).reshape(-1, 2), shape.get("mask"), size)
        except Exception as error:  # a decoder of a damaged mask raises nearly any type
            raise UserError(f"{path}: a shape of '{label}': {error}") from error
        regions.append(Region(str(label), pixels))
    yield AnnotatedImage(name, str(path), size, regions)


def _pixels(kind: str, points: np.ndarray, mask: str | None, size: tuple[int, int]) -> RunLengths:
    if kind == "polygon":
        return filled(points, size)
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return filled(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size)
    if kind == "mask":
        if mask is None:
            raise ValueError("has no 'mask'")
        with Image.open(io.BytesIO(base64.b64decode(mask, validate=True))) as image:
            inside = np.array(image).astype(bool)
        left, top = points[0].astype(int)
        if min(left, top) < 0 or top + inside.shape[0] > size[0] or left + inside.shape[1] > size[1]:
            raise ValueError("its mask is not inside the image")
        whole = np.zeros(size, dtype=bool)
        whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return encoded(whole)
    raise ValueError(f"a {kind} encloses no pixels; draw polygons, rectangles or masks")
