"""The formats of annotation tools: how to write each, and how to recognise it."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from wsss_core.annotations.archives import DOCUMENTS, of_a_system, unpacked
from wsss_core.annotations.coco_json import read_coco, write_coco
from wsss_core.annotations.cvat_xml import LABELS, read_cvat, write_cvat
from wsss_core.annotations.exported import Shapes, Writer
from wsss_core.annotations.json_files import parsed
from wsss_core.annotations.label_studio import CONFIGURATION, read_label_studio, write_label_studio
from wsss_core.annotations.labelme_json import read_labelme, write_labelme
from wsss_core.annotations.png_masks import FOLDER, VALUES, read_png, write_png
from wsss_core.annotations.regions import AnnotatedImage
from wsss_core.errors import UserError

RECORD = "exported.json"
"""The record of an export, in its folder."""
OTHERS = (RECORD, LABELS, VALUES, CONFIGURATION)
"""Files of an export's folder without annotations. LabelMe's file for an image may also have such a name."""


@dataclass(frozen=True)
class Format:
    """How labels are written for a tool."""

    write: Writer
    shapes: tuple[Shapes, ...]
    """The supported shapes, the default first."""
    meant_for: str
    """The tool, for help texts."""


FORMATS: dict[str, Format] = {
    "coco": Format(write_coco, ("masks", "polygons"), "COCO JSON, which most tools read"),
    "cvat": Format(write_cvat, ("masks", "polygons"), "CVAT for images 1.1"),
    "label-studio": Format(write_label_studio, ("masks", "polygons"), "Label Studio, tasks with predictions"),
    "labelme": Format(write_labelme, ("polygons", "masks"), "LabelMe, a JSON file per image"),
    "png": Format(write_png, ("masks",), "any image editor: PNG files with a palette"),
}
"""The formats by their name for ``--format``."""


def read_annotations(path: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    """The images that a tool or a person has labelled; the format is recognised.

    Args:
        path: COCO's or Label Studio's JSON; CVAT's XML; a folder with such a file, LabelMe's files or PNG masks, such
            as the folder of an export; or an archive (.zip) of these.
        classes: names of the object classes.

    Raises:
        UserError: it has another format, or is damaged.
    """
    if path.is_dir():
        yield from _read_folder(path, classes)
    elif not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    elif zipfile.is_zipfile(path):
        yield from _read_archive(path, classes)
    else:
        yield from _read_document(path, path.read_bytes(), path.name)


def export_record(path: Path) -> tuple[Path, bytes] | None:
    """The record of the export that a file or folder belongs to, with its path; None if there is none.

    Args:
        path: as in :func:`read_annotations`.

    Raises:
        UserError: it is an archive that cannot be read.
    """
    if zipfile.is_zipfile(path):
        with unpacked(path, RECORD, FOLDER, OTHERS) as (folder, top):
            file = top / RECORD
            if _is_of_the_export(file, top):
                return path / file.relative_to(folder), file.read_bytes()
    folder = path if path.is_dir() else path.parent
    file = folder / RECORD
    return (file, file.read_bytes()) if _is_of_the_export(file, folder) else None


def _read_archive(path: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    with unpacked(path, RECORD, FOLDER, OTHERS) as (folder, top):
        try:
            for image in _read_folder(top, classes):
                place, fault = (text.replace(str(folder), str(path)) for text in (image.place, image.fault))
                yield replace(image, place=place, fault=fault)
        except UserError as error:
            raise UserError(str(error).replace(str(folder), str(path))) from error


def _read_folder(folder: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    documents = sorted(file for suffix in DOCUMENTS for file in folder.rglob(f"*{suffix}"))
    files = [
        file
        for file in documents
        if not of_a_system(PurePosixPath(file.relative_to(folder))) and not _is_of_the_export(file, folder)
    ]
    if not files:
        masks = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        empty = True
        for image in read_png(masks, classes):
            empty = False
            yield image
        if empty:
            raise UserError(f"{folder}: holds no annotations: no .json, no .xml and no .png")
        return
    if len(files) > 1 and not _is_labelme(files[0]):
        raise UserError(
            f"{folder}: holds {len(files)} files of annotations, such as {files[0]} and {files[1]}; give one of them "
            "(unpack an archive first)"
        )
    images = folder / "images"
    for file in files:
        base = images if file.is_relative_to(images) else folder
        yield from _read_document(file, file.read_bytes(), file.relative_to(base).with_suffix("").as_posix())


def _is_of_the_export(file: Path, folder: Path) -> bool:
    """Whether it is one of ``OTHERS`` in an export's folder, and not LabelMe's file for an image of this name."""
    return file.parent == folder and file.name in OTHERS and file.is_file() and not _is_labelme(file)


def _is_labelme(file: Path) -> bool:
    """Whether it has LabelMe's format, which has a file for each image."""
    document = parsed(file, file.read_bytes()) if file.suffix == ".json" else None
    return isinstance(document, dict) and isinstance(document.get("shapes"), list)


def _read_document(path: Path, content: bytes, name: str) -> Iterator[AnnotatedImage]:
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        yield from read_cvat(path, content)
        return
    if content.startswith(b"PK"):
        raise UserError(f"{path}: is a damaged or incomplete archive; make or download it again")
    document: Any = parsed(path, content)
    if isinstance(document, list):
        yield from read_label_studio(path, document)
    elif isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        yield from read_coco(path, document)
    elif isinstance(document, dict) and isinstance(document.get("shapes"), list):
        yield from read_labelme(path, document, name)
    else:
        raise UserError(
            f"{path}: has none of the formats {', '.join(FORMATS)}; export it from the tool in one of these"
        )
