"""Plain PNG files: a pixel's value is its class's number, 0 for the background, 255 for ignored pixels."""

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
    """Write ``labels/<image id>.png``, and ``values.json``, which explains the values."""
    values = {"background": 0, **{name: number for number, name in enumerate(export.classes, start=1)}}
    for image in export.images:
        labels = image.labels()
        write_label_map(folder / FOLDER / f"{image.image_id}.png", labels)
        values["ignored"] = int(np.iinfo(labels.dtype).max)
    (folder / VALUES).write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")


def read_png(folder: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    """The masks of a folder: files with the palette of label maps, or its colours, or grey.

    Some editors save colours without a palette, and others reorder the palette: if a file has colours, these count.

    Yields:
        An image for each file, with a ``fault`` if the file is not a mask, has a value or colour of no class, or shares
        its id with another.
    """
    found = find_image_files(folder, [".png"])
    for fault in found.faults:
        yield AnnotatedImage(fault.image_id or fault.file, fault.file, (0, 0), fault=fault.detail)
    for image_id, file in found.files.items():
        try:
            labels = _read(file)
            values = [int(value) for value in np.unique(labels)]
            beyond = [value for value in values if len(classes) < value < np.iinfo(labels.dtype).max]
            if beyond:
                shown = ", ".join(map(str, beyond[:8]))
                raise UserError(f"{file}: has the values {shown}; the classes are 1 to {len(classes)}")
        except UserError as error:
            yield AnnotatedImage(image_id, str(file), (0, 0), fault=str(error).removeprefix(f"{file}: "))
            continue
        regions = [Region(label, encoded(region)) for label, region in regions_of(labels, classes)]
        size = (labels.shape[0], labels.shape[1])
        yield AnnotatedImage(image_id, str(file), size, regions, states_background=True)


def _read(file: Path) -> np.ndarray:
    """The label map of a file, uint8 or uint16 (H, W).

    Raises:
        UserError: it is not a mask, or has a colour that label maps do not have.
    """
    colours = _colours(file)
    if colours is None:
        return read_mask(file)  # raises an error if something is wrong with the file
    red, green, blue, opacity = np.moveaxis(colours.astype(np.int64), -1, 0)
    found = np.where(opacity == 0, 0, red << 16 | green << 8 | blue)  # erased pixels may keep their colour
    palette = voc_palette().astype(np.int64) @ [1 << 16, 1 << 8, 1]
    order = np.argsort(palette)
    places = order[np.searchsorted(palette, found, sorter=order).clip(max=255)]
    strange = (palette[places] != found) | ((opacity > 0) & (opacity < 255))
    if strange.any():
        colour = ", ".join(str(int(value)) for value in colours[strange][0][: 3 if opacity[strange][0] == 255 else 4])
        raise UserError(
            f"{file}: has the colour ({colour}), which is none of the label maps' colours; draw in these, without "
            "smoothing, and save it as PNG with their palette, or as grey PNG with the classes' numbers"
        )
    return places.astype(np.uint8)


def _colours(file: Path) -> np.ndarray | None:
    """The colours of a PNG file's pixels with their opacity, uint8 (H, W, 4); None if it has none, or is damaged."""
    try:
        with Image.open(file, formats=["PNG"]) as image:
            if image.mode not in ("P", "RGB", "RGBA"):
                return None
            known = len(image.getpalette() or []) // 3 if image.mode == "P" else 256
            if image.mode == "P" and np.array(image).max() >= known:
                raise UserError(f"{file}: has values that its palette of {known} colours lacks; save it again")
            return np.array(image.convert("RGBA"))
    except UserError:
        raise
    except Exception:  # decoders of damaged files raise nearly every type there is
        return None
