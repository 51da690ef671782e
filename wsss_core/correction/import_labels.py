"""Imports masks that an annotation tool or a person has written."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wsss_core.annotations.formats import RECORD, export_record, read_annotations
from wsss_core.annotations.regions import AnnotatedImage, drawn
from wsss_core.correction.export_labels import digest
from wsss_core.correction.image_names import ImageNames
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.files.atomic import scratch_folder
from wsss_core.jobs.progress import progress

FAULTS_SHOWN, NAMES_SHOWN = 10, 5


@dataclass
class Imported:
    """The result of an import, as image ids."""

    masks: list[str] = field(default_factory=list)
    """Images whose masks were written."""
    unchanged: list[str] = field(default_factory=list)
    """Images that nobody has changed since the export."""
    empty: list[str] = field(default_factory=list)
    """Images without any region, which perhaps nobody has looked at."""
    missing: list[str] = field(default_factory=list)
    """Images of the export that were not found."""
    background: list[str] = field(default_factory=list)
    """Images in ``masks`` that show only background."""
    others: list[str] = field(default_factory=list)
    """Images of other splits."""
    new_classes: dict[str, list[str]] = field(default_factory=dict)
    """By class, images with a mask that shows it but without its label."""


def import_labels(
    source: Path, index: DatasetIndex, split: str, folder: Path, exported: Path | None, unchanged: bool
) -> Imported:
    """Write the masks in a tool's file or folder as ``<image id>.png``; all of them or none.

    Args:
        source: see :func:`wsss_core.annotations.formats.read_annotations`.
        index: the data set.
        split: the split whose images are imported.
        folder: where the masks go; masks of other images there are kept.
        exported: the folder (or an archive of it) of the export that was corrected, to recognise changes; by default
            ``source`` or its folder, if that is an export.
        unchanged: also import images that nobody has changed.

    Returns:
        What was done with the images.

    Raises:
        UserError: lists everything that is wrong with the annotations. Or there is no mask to import.
    """
    before = _exported_labels(source, exported)
    names, wanted = ImageNames(index), index.split(split)
    rows = {image_id: row for row, image_id in enumerate(wanted.image_ids)}
    found, faults, seen = Imported(), [], dict[str, str]()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.absolute().parent) as scratch:
        for image in progress(list(read_annotations(source, index.classes)), "Drawing masks"):
            if image.fault:
                faults.append(f"{image.place}: {image.fault}")
                continue
            try:
                image_id = names.find(image.name)
                if image_id in seen:
                    raise UserError(f"is the same image as '{seen[image_id]}'")
                seen[image_id] = image.name
                if image_id not in rows:
                    found.others.append(image_id)
                else:
                    labels = _fitting(image, wanted, rows[image_id])
                    reason = _left_out(found, image, labels, before.get(image_id), unchanged)
                    if reason is not None:
                        reason.append(image_id)
                        continue
                    write_label_map(scratch / f"{image_id}.png", labels)
                    _note_import(found, image_id, labels, wanted, rows[image_id])
            except (UserError, ValueError) as error:
                faults.append(f"{image.place}: image '{image.name}' {error}")
        _refuse(faults)
        found.missing = [image_id for image_id in before if image_id not in seen]
        if not found.masks:
            raise UserError(f"{source}: there is no mask to import: {in_words(found)}")
        for image_id in found.masks:
            target = folder / f"{image_id}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(scratch / f"{image_id}.png", target)
    return found


def in_words(found: Imported) -> str:
    """Why images were left out, with some of their names."""
    reasons = {
        "unchanged since the export (--unchanged imports them too)": found.unchanged,
        "without any region (if one shows nothing, draw 'background', or import it with --unchanged)": found.empty,
        "of another split (--split chooses it)": found.others,
        "missing images of the export": found.missing,
    }
    return "; ".join(f"{len(ids)} {reason}: {some(ids)}" for reason, ids in reasons.items() if ids) or "there is none"


def some(image_ids: Sequence[str]) -> str:
    """The first few of these images, in words."""
    more = len(image_ids) - NAMES_SHOWN
    return ", ".join(image_ids[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _left_out(
    found: Imported, image: AnnotatedImage, labels: np.ndarray, before: str | None, unchanged: bool
) -> list[str] | None:
    """The list in ``found`` of images that are left out for the same reason; None if the image is imported.

    Args:
        found: has the lists.
        image: the image.
        labels: its label map.
        before: the digest of the exported labels; None if unknown.
        unchanged: also import it if nobody has changed it.
    """
    if not image.annotated:
        return found.empty
    if unchanged:
        return None
    same = {digest(labels)}
    if not labels.any():
        same.add(digest(np.zeros((0, 0), labels.dtype)))  # tools that give the size only with a region
    if before in same:
        return found.unchanged if image.regions or image.states_background else found.empty
    if before is None and not image.regions and not image.states_background:
        return found.empty
    return None


def _exported_labels(source: Path, exported: Path | None) -> Mapping[str, str]:
    """The digests of the exported labels by image id; empty if there is no export."""
    found = export_record(exported or source)
    if found is None:
        if exported is not None:
            raise UserError(f"--exported: {exported} is not the folder of an export: there is no {RECORD} in it")
        return {}
    record, content = found
    try:
        images = json.loads(content.decode("utf-8"))["images"]
        return {image_id: entry["labels"] for image_id, entry in images.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{record}: is damaged ({error}); without it, all images count as changed") from error


def _fitting(image: AnnotatedImage, images: DatasetIndex, row: int) -> np.ndarray:
    """The image's label map, of the image's size or of the size before it was shrunk."""
    if not image.regions and tuple(image.size) == (0, 0):  # tools that give the size only with a region
        image = replace(image, size=images.sizes[row])
    allowed = {images.sizes[row], images.original().sizes[row]}
    if tuple(image.size) not in allowed:
        sizes = " or ".join(f"{height} high and {width} wide" for height, width in sorted(allowed))
        raise UserError(f"is {image.size[0]} high and {image.size[1]} wide there; it has to be {sizes}")
    return drawn(image, images.classes)


def _refuse(faults: Sequence[str]) -> None:
    """Raise the faults, if there are any."""
    if faults:
        more = len(faults) - FAULTS_SHOWN
        rest = [f"and {more} more"] if more > 0 else []
        raise UserError("\n".join([*faults[:FAULTS_SHOWN], *rest, "Nothing was written."]))


def _note_import(found: Imported, image_id: str, labels: np.ndarray, images: DatasetIndex, row: int) -> None:
    """Add an image whose mask was written to the lists in ``found``."""
    found.masks.append(image_id)
    if not labels.any():
        found.background.append(image_id)
    values = np.unique(labels)
    known = images.label_matrix[row]
    for value in values[(values > 0) & (values != ignored_in(labels))]:
        if not known[value - 1]:
            found.new_classes.setdefault(images.classes[value - 1], []).append(image_id)
