"""Plain PNG files: a pixel's value is its class's number, 0 the background, 255 what does not count."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from wsss_core.annotations.exported import Export
from wsss_core.annotations.regions import AnnotatedImage, Region, encoded, regions_of
from wsss_core.datasets.image_ids import find_image_files
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.palette import voc_palette, write_label_map
from wsss_core.errors import UserError

FOLDER, VALUES = "labels", "values.json"


def write_png(folder: Path, export: Export) -> None:
    """Write ``labels/<image id>.png``, and ``values.json``, which says what the values mean."""
    values = {"background": 0, **{name: number for number, name in enumerate(export.classes, start=1)}}
    for image in export.images:
        labels = image.labels()
        write_label_map(folder / FOLDER / f"{image.image_id}.png", labels)
        values["ignored"] = int(np.iinfo(labels.dtype).max)
    (folder / VALUES).write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")


def read_png(folder: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    """The masks of a folder. Editors that know no palettes save colours: those of PASCAL VOC's palette are read too.

    Raises:
        UserError: a file is no mask, or has a value that is no class.
    """
    for image_id, file in find_image_files(folder, [".png"]).files.items():
        labels = _read(file)
        values = [int(value) for value in np.unique(labels)]
        beyond = [value for value in values if len(classes) < value < np.iinfo(labels.dtype).max]
        if beyond:
            shown = ", ".join(map(str, beyond[:8]))
            raise UserError(f"{file}: has the values {shown}; the classes are 1 to {len(classes)}")
        regions = [Region(label, encoded(region)) for label, region in regions_of(labels, classes)]
        yield AnnotatedImage(image_id, str(file), (labels.shape[0], labels.shape[1]), regions)


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            colours = np.array(image.convert("RGB")) if image.mode in ("RGB", "RGBA") else None
    except Exception:  # reading it as a mask says what is wrong with the file
        colours = None
    if colours is None:
        return read_mask(file)
    palette = voc_palette().astype(np.int64) @ [1 << 16, 1 << 8, 1]
    found = colours.astype(np.int64) @ [1 << 16, 1 << 8, 1]
    order = np.argsort(palette)
    places = order[np.searchsorted(palette, found, sorter=order).clip(max=255)]
    strange = palette[places] != found
    if strange.any():
        red, green, blue = (int(value) for value in colours[strange][0])
        raise UserError(
            f"{file}: has the colour ({red}, {green}, {blue}), which is none of the label maps' colours; draw without "
            "smoothing, and save as PNG with palette"
        )
    return places.astype(np.uint8)
