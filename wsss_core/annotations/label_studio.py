"""Label Studio's JSON: writes tasks with predictions, which a person turns into annotations; reads its export "JSON".

Masks are brush regions. Polygons are polygon regions, with points in percent of the image's width and height.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import numpy as np

from wsss_core.annotations.brush_runs import pack, unpack
from wsss_core.annotations.exported import Export, ExportedImage, colour
from wsss_core.annotations.json_files import entries_of, required, required_text
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

FILE, CONFIGURATION = "tasks.json", "labeling_config.xml"
KINDS = {"masks": ("BrushLabels", "brushlabels"), "polygons": ("PolygonLabels", "polygonlabels")}
FROM, TO = "labels", "image"
"""Names of the tags in the labelling configuration."""


def write_label_studio(folder: Path, export: Export) -> None:
    """Write ``tasks.json``, and ``labeling_config.xml`` for the project's labelling interface."""
    tag, _ = KINDS[export.shapes]
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": TO, "value": f"${TO}", "zoom": "true"})
    labels = ElementTree.SubElement(view, tag, {"name": FROM, "toName": TO})
    for number, name in enumerate(labels_in_order(export.classes), start=1):
        ElementTree.SubElement(labels, "Label", {"value": name, "background": colour(number)})
    ElementTree.indent(view)
    ElementTree.ElementTree(view).write(folder / CONFIGURATION, encoding="utf-8")
    tasks = []
    for image in export.images:
        data = {TO: export.url + quote(image.file), "image_id": image.image_id}
        predictions = [{"model_version": export.name, "result": _results(export, image)}]
        tasks.append({"data": data, "predictions": predictions})
    (folder / FILE).write_text(json.dumps(tasks), encoding="utf-8")


def _results(export: Export, image: ExportedImage) -> list[dict[str, Any]]:
    _, kind = KINDS[export.shapes]
    height, width = image.size
    values: list[dict[str, Any]]
    if export.shapes == "masks":
        values = [{"format": "rle", "rle": pack(mask), kind: [label]} for label, mask in export.masks(image)]
    else:
        percent = 100 / np.array([width, height])
        values = [{"points": (polygon * percent).tolist(), kind: [label]} for label, polygon in export.polygons(image)]
    return [
        {
            "id": f"region{number}",
            "type": kind,
            "from_name": FROM,
            "to_name": TO,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": value,
        }
        for number, value in enumerate(values)
    ]


def read_label_studio(path: Path, tasks: Sequence[Any]) -> Iterator[AnnotatedImage]:
    """The images of a list of tasks; of several annotations of an image, the one changed last.

    Tasks that nobody has annotated give their predictions, as they were exported.

    Raises:
        UserError: an entry is missing or wrong, or a region encloses nothing.
    """
    for number, task in enumerate(tasks):
        data = required(path, "tasks", task, "data")
        name = _name(path, data)
        place = f"{path}: image '{name}'"
        answers, predictions = (entries_of(path, f"'{name}'", task, key) for key in ("annotations", "predictions"))
        drawn = [entry for entry in answers if not (isinstance(entry, dict) and entry.get("was_cancelled"))]
        # By default, an export has only the numbers of predictions.
        entries = drawn or [entry for entry in predictions if not isinstance(entry, int)]
        if not entries:
            yield AnnotatedImage(name, str(path), (0, 0), annotated=False)
            continue
        for entry in entries:
            required(path, f"tasks[{number}]", entry, "result")
        entry = max(entries, key=lambda entry: str(entry.get("updated_at", ""))) if drawn else entries[-1]
        regions, sizes = [], set()
        for result in entries_of(path, f"'{name}'", entry, "result"):
            kind = required_text(path, "result", result, "type")
            if kind.removesuffix("labels") == kind:
                continue  # a choice, a text, a relation: no region
            try:
                size = checked_size(result["original_height"], result["original_width"])
                value = result["value"]
                (label,) = value[kind]
                if not isinstance(label, str):
                    raise ValueError(f"the label {label!r} of a region is not text")
                regions.append(Region(label, _pixels(kind, value, size)))
            except KeyError as error:
                raise UserError(f"{place}: a region has no {error}") from error
            except (ValueError, TypeError) as error:
                raise UserError(f"{place}: {error}") from error
            sizes.add(size)
        if len(sizes) > 1:
            raise UserError(f"{place}: its regions belong to images of different sizes")
        yield AnnotatedImage(name, str(path), next(iter(sizes), (0, 0)), regions)


def _name(path: Path, data: Any) -> str:
    """The name of a task's image."""
    if isinstance(data, dict) and data.get("image_id"):
        return required_text(path, "data", data, "image_id")
    return unquote(required_text(path, "data", data, TO))


def _pixels(kind: str, value: dict[str, Any], size: tuple[int, int]) -> RunLengths:
    if kind == "brushlabels":
        return encoded(unpack(value["rle"], *size))
    pixels = np.array([size[1], size[0]]) / 100
    if kind == "polygonlabels":
        return filled(np.array(value["points"], dtype=float) * pixels, size)
    if kind == "rectanglelabels" and not value.get("rotation"):
        left, top, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
        corners = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
        return filled(np.array(corners) * pixels, size)
    raise ValueError(f"a region of {kind} encloses no pixels; draw with brush, polygons or upright rectangles")
