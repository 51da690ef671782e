"""The folder that labels of new images go to: its files, and the record that lets a killed run go on."""

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
from wsss_core.errors import UserError, full_disk_told
from wsss_core.files.atomic import atomic_path, write_json, write_text

LABELS, OVERLAYS, PROBABILITIES = "labels", "overlays", "probabilities"
SUFFIXES = {LABELS: ".png", OVERLAYS: ".jpg", PROBABILITIES: ".h5"}
"""Of the files in each folder."""
ANY_PATH = "surrogateescape"
"""How names of files that are no UTF-8 are written to a text."""


@dataclass(frozen=True)
class Done:
    """What was made of an image: a row of ``segmented.csv``."""

    name: str
    """What its files are called, without suffix."""
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
    """Names of the classes that the label map has, with ``;`` between them."""
    fingerprint: str
    """Of the image file, by which a change is seen."""


COLUMNS = tuple(field.name for field in fields(Done))


class SegmentedFolder:
    """A folder of label maps of one network with one kind of settings; in use by one run at a time."""

    def __init__(self, folder: Path, weights: Path, classes: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Open the folder, or make it.

        Args:
            folder: where everything goes.
            weights: the network's file.
            classes: names of the classes, ``background`` first.
            settings: JSON values that the labels depend on.

        Raises:
            UserError: the folder holds what another network or other settings made.
        """
        self.folder, self.classes, self.record = folder, tuple(classes), folder / "segmented.csv"
        with open(weights, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        identity = {"weights_sha256": digest, "settings": dict(settings)}
        told = folder / "settings.json"
        if told.exists():
            differences = _differences(_read_settings(told), identity)
            if differences:
                raise UserError(
                    f"{folder}: holds labels of {differences} ({told} says which); choose another folder, or remove "
                    "this one"
                )
        write_json(told, {"weights": str(weights), **identity})
        _write_classes(folder / "classes.csv", classes)
        self.done = {row.name: row for row in _read_record(self.record)}
        self._write_record()

    def path(self, kind: str, name: str) -> Path:
        """The file of one kind (``LABELS``, ``OVERLAYS``, ``PROBABILITIES``) of an image."""
        return self.folder / kind / f"{name}{SUFFIXES[kind]}"

    def has(self, name: str, fingerprint: str, kinds: Sequence[str]) -> bool:
        """Whether all of an image's files of these kinds are there, made of the image as it is now."""
        row = self.done.get(name)
        return row is not None and row.fingerprint == fingerprint and all(self.path(k, name).exists() for k in kinds)

    def add(self, row: Done) -> None:
        """Write down that an image's files are there."""
        self.done[row.name] = row
        with full_disk_told(self.record), open(self.record, "a", encoding="utf-8", errors=ANY_PATH, newline="") as file:
            file.write(_lines([row]))

    def finish(self) -> None:
        """Write the record anew, a row an image, sorted by name."""
        self._write_record()

    def _write_record(self) -> None:
        # A kill may have cut the last line short: nothing may be appended to that.
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
    """The images that an earlier run has done; a line that a kill has cut short says nothing."""
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8", errors=ANY_PATH).rpartition("\n")[0]
    rows = []
    for row in csv.DictReader(io.StringIO(whole)):
        with suppress(KeyError, TypeError, ValueError):  # a row is no longer one that this program wrote
            size, seen = (int(row["height"]), int(row["width"])), (int(row["seen_height"]), int(row["seen_width"]))
            rows.append(Done(row["name"], row["image"], *size, *seen, row["classes"], row["fingerprint"]))
    return rows


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("weights_sha256", "settings")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not one of `python -m wsss_core segment`; choose another folder") from error


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs, in words; empty if nothing does."""
    words = ["another network"] if found["weights_sha256"] != wanted["weights_sha256"] else []
    if json.loads(json.dumps(wanted["settings"])) != found["settings"]:
        words.append("other settings")
    return " and ".join(words)


def _write_classes(path: Path, classes: Sequence[str]) -> None:
    """Write which value of a label map is which class, in which colour of the overlays."""
    values = np.arange(len(classes), dtype=label_type(len(classes) - 1))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["value", "class", "red", "green", "blue"])
    for value, name, colour in zip(values, classes, voc_palette()[palette_values(values)], strict=True):
        writer.writerow([value, name, *colour])
    write_text(path, text.getvalue())
