"""The folder for labels of new images: its files, and the record with which a killed run is resumed."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.datasets.label_values import label_type
from wsss_core.datasets.overlay import palette_values
from wsss_core.datasets.palette import voc_palette
from wsss_core.errors import UserError, full_disk_explained
from wsss_core.files.atomic import atomic_path, write_json, write_text

LABELS, OVERLAYS, PROBABILITIES = "labels", "overlays", "probabilities"
SUFFIXES = {LABELS: ".png", OVERLAYS: ".jpg", PROBABILITIES: ".h5"}
"""Suffixes of the files in each folder."""
ANY_PATH = "surrogateescape"
"""How file names that are not UTF-8 are written to a text."""


@dataclass(frozen=True)
class Done:
    """A labelled image: a row of ``segmented.csv``."""

    name: str
    """The name of its files, without suffix."""
    image: str
    """The image file."""
    height: int
    """Of the image and its label map, pixels."""
    width: int
    """Of the image and its label map, pixels."""
    seen_height: int
    """Of the image as the network saw it, pixels."""
    seen_width: int
    """Of the image as the network saw it, pixels."""
    classes: str
    """Names of the classes in the label map, with ``;`` between them."""
    fingerprint: str
    """Of the image file, to recognise changes."""


COLUMNS = tuple(field.name for field in fields(Done))


class SegmentedFolder:
    """A folder of label maps of one network with the same settings, for one run at a time."""

    def __init__(self, folder: Path, weights: Path, classes: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Open the folder, or make it.

        Args:
            folder: where everything goes.
            weights: the network's file.
            classes: names of the classes, ``background`` first.
            settings: JSON values that the labels depend on.

        Raises:
            UserError: the folder holds labels of another network or other settings.
        """
        self.folder, self.classes, self.record = folder, tuple(classes), folder / "segmented.csv"
        with open(weights, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        identity = {"weights_sha256": digest, "settings": dict(settings)}
        settings_json = folder / "settings.json"
        if settings_json.exists():
            differences = _differences(_read_settings(settings_json), identity)
            if differences:
                raise UserError(
                    f"{folder}: holds labels of {differences} ({settings_json} says which); choose another folder, or "
                    "remove this one"
                )
        write_json(settings_json, {"weights": str(weights), **identity})
        _write_classes(folder / "classes.csv", classes)
        self.done = {row.name: row for row in _read_record(self.record)}
        self._write_record()

    def path(self, kind: str, name: str) -> Path:
        """The file of one kind (``LABELS``, ``OVERLAYS``, ``PROBABILITIES``) of an image."""
        return self.folder / kind / f"{name}{SUFFIXES[kind]}"

    def has(self, name: str, fingerprint: str, kinds: Sequence[str]) -> bool:
        """Whether all of an image's files of these kinds exist and were made from the image in its present state."""
        row = self.done.get(name)
        return row is not None and row.fingerprint == fingerprint and all(self.path(k, name).exists() for k in kinds)

    def add(self, row: Done) -> None:
        """Record that an image's files exist."""
        self.done[row.name] = row
        with (
            full_disk_explained(self.record),
            open(self.record, "a", encoding="utf-8", errors=ANY_PATH, newline="") as file,
        ):
            file.write(_lines([row]))

    def finish(self) -> None:
        """Write the record again, sorted by name, with one row for each image."""
        self._write_record()

    def _write_record(self) -> None:
        # The last line may be cut short after a kill: nothing may be appended to it.
        rows = [self.done[name] for name in sorted(self.done)]
        with atomic_path(self.record) as temporary, open(temporary, "w", encoding="utf-8", errors=ANY_PATH) as file:
            file.write(f"{','.join(COLUMNS)}\n{_lines(rows)}")


def is_segmented(folder: Path) -> bool:
    """Whether a folder holds labels that ``python -m wsss_core segment`` has made."""
    settings = folder / "settings.json"
    try:
        return settings.is_file() and bool(_read_settings(settings))
    except UserError:
        return False


def _lines(rows: Sequence[Done]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(map(asdict, rows))
    return text.getvalue()


def _read_record(path: Path) -> list[Done]:
    """The images that an earlier run has finished; a line that is cut short is ignored."""
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8", errors=ANY_PATH).rpartition("\n")[0]
    rows = []
    for row in csv.DictReader(io.StringIO(whole)):
        with suppress(KeyError, TypeError, ValueError):  # the row was changed after this program wrote it
            size, seen = (int(row["height"]), int(row["width"])), (int(row["seen_height"]), int(row["seen_width"]))
            rows.append(Done(row["name"], row["image"], *size, *seen, row["classes"], row["fingerprint"]))
    return rows


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("weights_sha256", "settings")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not from `python -m wsss_core segment`; choose another folder") from error


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs, in words; empty if nothing does."""
    words = ["another network"] if found["weights_sha256"] != wanted["weights_sha256"] else []
    if json.loads(json.dumps(wanted["settings"])) != found["settings"]:
        words.append("other settings")
    return " and ".join(words)


def _write_classes(path: Path, classes: Sequence[str]) -> None:
    """Write the label map's value and the overlay's colour of each class."""
    values = np.arange(len(classes), dtype=label_type(len(classes) - 1))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["value", "class", "red", "green", "blue"])
    for value, name, colour in zip(values, classes, voc_palette()[palette_values(values)], strict=True):
        writer.writerow([value, name, *colour])
    write_text(path, text.getvalue())
