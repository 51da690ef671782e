"""The results of the parts, and their files."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsss_core.files.atomic import write_text

WAITING, PASSED, FAILED, NOT_DONE = "not run yet", "passed", "failed", "not done"


@dataclass
class Row:
    """One result of a part."""

    what: str
    figures: dict[str, float | str | None] = field(default_factory=dict)
    """Figures by their column's name; None if not measured."""
    fault: str = ""
    """What is wrong, if anything."""
    skipped: str = ""
    """The reason, if it was skipped."""


@dataclass
class Part:
    """A part of the check with its results so far."""

    name: str
    about: str
    """What it does, in a few words."""
    status: str = WAITING
    reason: str = ""
    """The reason if it did not pass."""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)

    @property
    def faults(self) -> list[Row]:
        """The rows with a fault."""
        return [row for row in self.rows if row.fault]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows for :func:`read_rows`, which keeps them even if the process is stopped."""
    _write_json(path, [asdict(row) for row in rows])


def read_rows(path: Path) -> list[Row]:
    """The rows that a part has written so far."""
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write_findings(folder: Path, machine: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Write ``gpu_check.json`` and ``gpu_check.md``, and replace old ones."""
    _write_json(folder / "gpu_check.json", {"machine": dict(machine), "parts": [asdict(part) for part in parts]})
    write_text(folder / "gpu_check.md", as_markdown(machine, parts))


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")  # keys keep the order of the columns


def as_markdown(machine: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """All tables, each with the device's name above it."""
    heading = f"{machine['device']}; {', '.join(f'{key} {value}' for key, value in machine.items() if key != 'device')}"
    lines = [f"# GPU check: {machine['device']}", "", heading, ""]
    lines += _table(
        ["part", "what it does", "seconds", "result"],
        [[part.name, part.about, f"{part.seconds:.0f}" if part.seconds else "", _result(part)] for part in parts],
    )
    for part in parts:
        if part.rows:
            columns = list(dict.fromkeys(name for row in part.rows for name in row.figures))
            rows = [
                [row.what, *(_figure(row.figures.get(name)) for name in columns), _remark(row)] for row in part.rows
            ]
            lines += ["", f"## {part.name} on {machine['device']}", ""]
            lines += _table([part.about, *columns, ""], rows)
    return "\n".join(lines) + "\n"


def _result(part: Part) -> str:
    skipped = sum(bool(row.skipped) for row in part.rows)
    words = part.status if part.status in (PASSED, WAITING) else f"**{part.status}**: {part.reason}"
    return f"{words}, {skipped} skipped" if skipped else words


def _remark(row: Row) -> str:
    return f"**{row.fault}**" if row.fault else f"skipped: {row.skipped}" if row.skipped else ""


def _figure(value: float | str | None) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:.3g}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(_cell(text) for text in row)} |" for row in cells]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split(os.linesep)).strip()
