"""Reads the tables (CSV) that the workflow writes, in full or with an error that says what is wrong."""

import csv
from pathlib import Path

from wsss_core.errors import UserError


def read_table(path: Path | str) -> list[list[str]]:
    """The rows of a table, the heading first; all have the same number of entries.

    Raises:
        UserError: the file is missing, cannot be read, or is damaged: not text or not CSV, with rows of different
            lengths, or with the last row cut off.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(file)
        rows = list(csv.reader(lines, strict=True))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {_MAKE_AGAIN}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error) as error:
        raise damaged_table(path, str(error)) from None
    if not rows:
        raise damaged_table(path, "it is empty")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise damaged_table(path, f"row {number} has {len(row)} entries")
    if not lines[-1].endswith("\n"):
        raise damaged_table(path, f"row {len(rows)} is cut off")
    return rows


def damaged_table(path: Path | str, reason: str) -> UserError:
    """The error for a damaged table; ``reason`` in words."""
    return UserError(f"{path}: it is damaged ({reason}); {_MAKE_AGAIN}")


_MAKE_AGAIN = "delete it and let the workflow make it again"
