"""COCO's JSON, which nearly all annotation tools read and write.

Masks are run lengths with ``iscrowd: 1``, by which CVAT and datumaro distinguish them from polygons. Source: the data
format on COCO's site, and CVAT's pages about its formats.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from wsss_core.annotations.exported import Export, ExportedImage
from wsss_core.annotations.json_files import entries_of, required, required_id, required_text
from wsss_core.annotations.regions import AnnotatedImage, Region, checked_size, labels_in_order
from wsss_core.datasets.coco.coco_masks import run_lengths
from wsss_core.errors import UserError

FILE = "annotations.json"


def write_coco(folder: Path, export: Export) -> None:
    """Write ``annotations.json``."""
    numbers = {name: number for number, name in enumerate(labels_in_order(export.classes), start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_number, image in enumerate(export.images, start=1):
        height, width = image.size
        images.append({"id": image_number, "file_name": image.file, "height": height, "width": width})
        for label, segmentation, region in _segmentations(export, image):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_number,
                    "category_id": numbers[label],
                    "segmentation": segmentation,
                    "area": float(coco_mask.area(region)),
                    "bbox": [float(value) for value in coco_mask.toBbox(region)],
                    "iscrowd": int(export.shapes == "masks"),
                }
            )
    document = {
        "info": {"description": export.name},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()],
    }
    (folder / FILE).write_text(json.dumps(document), encoding="utf-8")


def _segmentations(export: Export, image: ExportedImage) -> Iterator[tuple[str, Any, Any]]:
    """Label, segmentation as written to the file, and the same in pycocotools' form."""
    height, width = image.size
    if export.shapes == "masks":
        for label, mask in export.masks(image):
            segmentation = {"size": [height, width], "counts": runs(mask.ravel(order="F"))}
            yield label, segmentation, run_lengths(segmentation, height, width)
    else:
        for label, polygon in export.polygons(image):
            points = [polygon.ravel().tolist()]
            yield label, points, run_lengths(points, height, width)


def runs(values: np.ndarray) -> list[int]:
    """Lengths of the runs of equal values, bool (N,), beginning with one of False, which may be empty."""
    ends = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [len(values)]])).tolist()
    return [0, *lengths] if values[0] else lengths


def read_coco(path: Path, document: dict[str, Any]) -> Iterator[AnnotatedImage]:
    """The images of a COCO file. If objects overlap, the smallest is on top.

    Raises:
        UserError: an entry is missing or wrong.
    """
    names = {}
    for category in entries_of(path, "the file", document, "categories"):
        names[required_id(path, "categories", category, "id")] = required_text(path, "categories", category, "name")
    by_image: dict[int | str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        required_id(path, "annotations", annotation, "category_id")
        by_image[required_id(path, "annotations", annotation, "image_id")].append(annotation)
    numbers = set()
    for image in document["images"]:
        number, name = required_id(path, "images", image, "id"), required_text(path, "images", image, "file_name")
        height, width = (required(path, "images", image, key) for key in ("height", "width"))
        try:
            height, width = checked_size(height, width)
        except ValueError as error:
            raise UserError(f"{path}: image '{name}' {error}") from error
        if number in numbers:
            raise UserError(f"{path}: two entries of 'images' have the id {number}, such as '{name}'")
        numbers.add(number)
        regions = []
        for annotation in by_image[number]:
            place = f"{path}: annotation {annotation.get('id')} (of {name})"
            category = annotation["category_id"]
            if category not in names:
                raise UserError(f"{place}: its category_id {category} is not in 'categories'")
            try:
                pixels = run_lengths(annotation.get("segmentation"), height, width)
            except (ValueError, TypeError) as error:
                raise UserError(f"{place}: {error}") from error
            regions.append((float(coco_mask.area(pixels)), Region(names[category], pixels)))
        regions.sort(key=lambda item: -item[0])
        yield AnnotatedImage(name, str(path), (height, width), [region for _, region in regions])
    strangers = by_image.keys() - numbers
    if strangers:
        raise UserError(f"{path}: annotations have the image_id {next(iter(strangers))}, which is not in 'images'")
