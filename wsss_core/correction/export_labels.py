"""Exports an experiment's label maps to a folder for an annotation tool."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from wsss_core.annotations.exported import Export, ExportedImage, Shapes
from wsss_core.annotations.formats import FORMATS, RECORD, read_annotations
from wsss_core.annotations.regions import drawn
from wsss_core.correction.image_names import ImageNames
from wsss_core.correction.made_labels import label_maps_of
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files.atomic import scratch_folder
from wsss_core.jobs.progress import progress
from wsss_core.plan.artifacts import Artifact

IMAGES = "images"
PLAIN = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",)}
"""Formats that every tool supports, and their suffixes; images in other formats are saved as PNG."""


def export_labels(
    artifact: Artifact,
    experiment: str,
    images: DatasetIndex,
    chosen: Sequence[str],
    worth: Mapping[str, float],
    format_name: str,
    shapes: Shapes,
    tolerance: float,
    url: str | None,
    folder: Path,
) -> None:
    """Write a folder with images and their labels; it appears when it is complete.

    Args:
        artifact: has the label maps to export.
        experiment: the experiment's name, for the tool.
        images: all images with label maps in the artifact.
        chosen: ids of the images to export, in the order for the tool.
        worth: the figure by which each image was chosen, by image id; for the record.
        format_name: a key of ``FORMATS``.
        shapes: the form of regions.
        tolerance: how far polygons may be from the exact outlines, pixels.
        url: the prefix of the images' files in Label Studio's tasks; by default that of its local files.
        folder: the folder to make.

    Raises:
        UserError: the folder exists and is not empty, label maps or images are missing, or the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out: {folder} is there already; name a new folder, as this one may hold corrections")
    maps = label_maps_of(artifact)
    missing = [image_id for image_id in chosen if image_id not in maps]
    if missing:
        raise UserError(f"{artifact.directory}: has no label map of image '{missing[0]}' ({len(missing)} like it)")
    rows = {image_id: row for row, image_id in enumerate(images.image_ids)}
    with scratch_folder(folder.absolute().parent) as scratch:
        exported = []
        for image_id in progress(list(chosen), "Copying images"):
            row = rows[image_id]
            file = _copy_image(images.image_paths[row], image_id, scratch / IMAGES)
            exported.append(ExportedImage(image_id, file, images.sizes[row], partial(read_mask, maps[image_id])))
        local = url if url is not None else f"/data/local-files/?d={quote(folder.absolute().name)}/{IMAGES}/"
        export = Export(f"{experiment}, {artifact.stage}", images.classes, shapes, tolerance, exported, local)
        FORMATS[format_name].write(scratch, export)
        record = {
            "experiment": experiment,
            "artifact": str(artifact.directory),
            "format": format_name,
            "shapes": shapes,
            "images": _digests_when_read(scratch, images, chosen, worth),
        }
        (scratch / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        os.rename(scratch, folder)


def _copy_image(source: Path, image_id: str, folder: Path) -> str:
    """Copy an image, upright and in a format that all tools support; returns the file's path in the folder."""
    pixels = read_image(source)  # raises an error if something is wrong with the file
    with Image.open(source) as image:
        suffixes = PLAIN.get(image.format or "", ())
        plain = bool(suffixes) and image.mode in ("RGB", "L", "P") and image.getexif().get(Base.Orientation, 1) == 1
    suffix = source.suffix.lower() if source.suffix.lower() in suffixes else (suffixes[0] if plain else ".png")
    target = folder / f"{image_id}{suffix if plain else '.png'}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if plain:
        shutil.copyfile(source, target)
    else:
        Image.fromarray(pixels).save(target)
    return target.relative_to(folder).as_posix()


def _digests_when_read(
    folder: Path, images: DatasetIndex, chosen: Sequence[str], worth: Mapping[str, float]
) -> dict[str, dict[str, object]]:
    """By image id, a digest of the labels as read from the written files; by it an import recognises changes."""
    names = ImageNames(images)
    written = progress(list(read_annotations(folder, images.classes)), "Checking what was written")
    digests = {names.find(image.name): digest(drawn(image, images.classes)) for image in written}
    return {
        image_id: {"labels": digests[image_id], **({"worth": round(worth[image_id], 6)} if image_id in worth else {})}
        for image_id in chosen
    }


def digest(labels: np.ndarray) -> str:
    """A digest of a label map, to recognise changes."""
    return hashlib.sha256(repr((labels.shape, labels.dtype.str)).encode() + labels.tobytes()).hexdigest()[:16]
