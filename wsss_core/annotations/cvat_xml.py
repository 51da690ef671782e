"""CVAT's own XML, "CVAT for images 1.1". A mask's run lengths follow the rows of its box, background first."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from wsss_core.annotations.coco_json import runs
from wsss_core.annotations.exported import Export, colour
from wsss_core.annotations.outlines import DECIMALS, filled
from wsss_core.annotations.regions import (
    AnnotatedImage,
    Region,
    RunLengths,
    checked_size,
    encoded,
    labels_in_order,
)
from wsss_core.errors import UserError

FILE, LABELS = "annotations.xml", "labels.json"
NO_REGIONS = ("tag", "attribute")
"""Elements of an image that say nothing about pixels."""


def write_cvat(folder: Path, export: Export) -> None:
    """Write ``annotations.xml``, and ``labels.json`` for the field "Raw" where CVAT asks for a project's labels."""
    names = labels_in_order(export.classes)
    colours = [{"name": name, "color": colour(number), "attributes": []} for number, name in enumerate(names, start=1)]
    (folder / LABELS).write_text(json.dumps(colours, indent=2), encoding="utf-8")
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    ElementTree.SubElement(task, "name").text = export.name
    ElementTree.SubElement(task, "size").text = str(len(export.images))
    labels = ElementTree.SubElement(task, "labels")
    for entry in colours:
        known = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(known, "name").text = str(entry["name"])
        ElementTree.SubElement(known, "color").text = str(entry["color"])
        ElementTree.SubElement(known, "type").text = "any"
        ElementTree.SubElement(known, "attributes")
    for number, image in enumerate(export.images):
        height, width = image.size
        sizes = {"id": str(number), "name": image.file, "width": str(width), "height": str(height)}
        element = ElementTree.SubElement(root, "image", sizes)
        if export.shapes == "masks":
            for order, (label, mask) in enumerate(export.masks(image)):
                ElementTree.SubElement(element, "mask", _shape(label, order) | _mask_attributes(mask))
        else:
            for order, (label, polygon) in enumerate(export.polygons(image)):
                points = ";".join(f"{x:.{DECIMALS}f},{y:.{DECIMALS}f}" for x, y in polygon)
                ElementTree.SubElement(element, "polygon", _shape(label, order) | {"points": points})
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(folder / FILE, encoding="utf-8", xml_declaration=True)


def _shape(label: str, order: int) -> dict[str, str]:
    return {"label": label, "source": "auto", "occluded": "0", "z_order": str(order)}


def _mask_attributes(mask: np.ndarray) -> dict[str, str]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return {
        "rle": ", ".join(map(str, runs(box.ravel()))),
        "left": str(columns[0]),
        "top": str(rows[0]),
        "width": str(box.shape[1]),
        "height": str(box.shape[0]),
    }


def read_cvat(path: Path, content: bytes) -> Iterator[AnnotatedImage]:
    """The images of a file of "CVAT for images 1.1"; shapes with a higher ``z_order`` are on top.

    Raises:
        UserError: the file has another form, or a shape is wrong or encloses nothing.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: is not XML ({error}); export it again") from error
    if root.tag != "annotations" or root.find("track") is not None:
        raise UserError(f"{path}: is not a file of 'CVAT for images 1.1'; export it from CVAT in this format")
    for image in root.iter("image"):
        name = image.get("name", "")
        place = f"{path}: image '{name}'"
        try:
            size = checked_size(int(image.attrib["height"]), int(image.attrib["width"]))
            ordered = []
            for shape in image:
                if shape.tag not in NO_REGIONS:
                    region = Region(shape.attrib["label"], _pixels(shape, size))
                    ordered.append((int(shape.get("z_order", 0)), region))
        except KeyError as error:
            raise UserError(f"{place}: has no attribute {error}") from error
        except ValueError as error:
            raise UserError(f"{place}: {error}") from error
        ordered.sort(key=lambda item: item[0])
        yield AnnotatedImage(name, str(path), size, [region for _, region in ordered])


def _pixels(shape: ElementTree.Element, size: tuple[int, int]) -> RunLengths:
    """The pixels of a shape.

    Raises:
        KeyError: an attribute is missing.
        ValueError: it does not fit an image of this size.
    """
    if shape.tag == "polygon":
        points = [tuple(map(float, pair.split(","))) for pair in shape.attrib["points"].split(";")]
        return filled(np.array(points), size)
    if shape.tag == "box" and not float(shape.get("rotation", 0)):
        left, top, right, bottom = (float(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return filled(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size)
    if shape.tag == "mask":
        left, top, width, height = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
        if min(left, top) < 0 or min(width, height) < 1 or top + height > size[0] or left + width > size[1]:
            raise ValueError(f"a mask's box ({left}, {top}, {width} x {height}) is not inside the image")
        lengths = np.array([int(length) for length in shape.attrib["rle"].split(",")])
        if (lengths < 0).any() or lengths.sum() != width * height:
            raise ValueError(f"a mask's run lengths do not cover its box of {width * height} pixels")
        mask = np.zeros(size, dtype=bool)
        inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        mask[top : top + height, left : left + width] = inside.reshape(height, width)
        return encoded(mask)
    raise ValueError(f"a {shape.tag} encloses no pixels; draw masks, polygons or upright boxes")
