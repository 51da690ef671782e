"""The formats of annotation tools: how each is written, and which one a file or folder is of."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
"""What an export says of itself."""
OTHERS = (RECORD, LABELS, VALUES, CONFIGURATION)
"""Files of an export that hold no annotations."""
LARGEST_MEMBER = 1 << 30
"""Bytes of annotations that are read from an archive, at most."""


@dataclass(frozen=True)
class Format:
    """How labels are written for a tool."""

    write: Writer
    shapes: tuple[Shapes, ...]
    """What it can hold, the usual first."""
    meant_for: str
    """The tool, for people."""


FORMATS: dict[str, Format] = {
    "coco": Format(write_coco, ("masks", "polygons"), "COCO JSON, which most tools read"),
    "cvat": Format(write_cvat, ("masks", "polygons"), "CVAT for images 1.1"),
    "label-studio": Format(write_label_studio, ("masks", "polygons"), "Label Studio, tasks with predictions"),
    "labelme": Format(write_labelme, ("polygons", "masks"), "LabelMe, a JSON file per image"),
    "png": Format(write_png, ("masks",), "any image editor: PNG files with a palette"),
}
"""By the name that ``--format`` has for each."""


def read_annotations(path: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    """The images that a tool, or a person, has written labels of; which format it is shows.

    Args:
        path: COCO's or Label Studio's JSON; CVAT's XML; an archive (.zip) with one of these; a folder with such a
            file, LabelMe's files or PNG masks, such as the folder of an export.
        classes: names of the object classes.

    Raises:
        UserError: it is none of these, or is damaged.
    """
    if path.is_dir():
        yield from _read_folder(path, classes)
    elif not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    elif zipfile.is_zipfile(path):
        yield from _read_document(*_member(path), path.name)
    else:
        yield from _read_document(path, path.read_bytes(), path.name)


def _read_folder(folder: Path, classes: tuple[str, ...]) -> Iterator[AnnotatedImage]:
    files = sorted(
        file for suffix in ("json", "xml") for file in folder.rglob(f"*.{suffix}") if file.name not in OTHERS
    )
    if not files:
        masks = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        if not any(masks.rglob("*.png")):
            raise UserError(f"{folder}: holds no annotations: no .json, no .xml and no .png")
        yield from read_png(masks, classes)
        return
    if len(files) > 1 and not _is_labelme(files[0]):
        raise UserError(
            f"{folder}: holds {len(files)} files of annotations, such as {files[0]} and {files[1]}; name one"
        )
    images = folder / "images"
    for file in files:
        base = images if file.is_relative_to(images) else folder
        yield from _read_document(file, file.read_bytes(), file.relative_to(base).with_suffix("").as_posix())


def _is_labelme(file: Path) -> bool:
    """Whether it is of the format that has a file per image."""
    document = parsed(file, file.read_bytes()) if file.suffix == ".json" else None
    return isinstance(document, dict) and "shapes" in document


def _member(path: Path) -> tuple[Path, bytes]:
    """The one file of annotations in an archive; nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.lower().endswith((".json", ".xml"))]
            if len(members) != 1:
                raise UserError(
                    f"{path}: holds {len(members)} files of annotations (.json, .xml), not one; unpack it and name the "
                    "folder"
                )
            if members[0].file_size > LARGEST_MEMBER:
                raise UserError(f"{path}: {members[0].filename} has {members[0].file_size} bytes; unpack it yourself")
            return path / members[0].filename, archive.read(members[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: is no archive that can be read ({error})") from error


def _read_document(path: Path, content: bytes, name: str) -> Iterator[AnnotatedImage]:
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        yield from read_cvat(path, content)
        return
    document: Any = parsed(path, content)
    if isinstance(document, list):
        yield from read_label_studio(path, document)
    elif isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        yield from read_coco(path, document)
    elif isinstance(document, dict) and isinstance(document.get("shapes"), list):
        yield from read_labelme(path, document, name)
    else:
        raise UserError(
            f"{path}: is of none of the formats {', '.join(FORMATS)}; export it from the tool in one of these"
        )
