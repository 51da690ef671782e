"""Reads tables saved from spreadsheets: detects the delimiter and the encoding, and keeps line numbers."""

import codecs
import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from wsss_core.errors import UserError
from wsss_core.files.file_kinds import stand_in

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The delimiters, in the order in which they are tried, and their names."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_NO_TEXT = {
    b"PK\x03\x04": "is a workbook (.xlsx, .ods, ...); save it as CSV",
    b"\xd0\xcf\x11\xe0": "is a workbook of an old Excel; save it as CSV",
    b"%PDF": "is a PDF file; save the table as CSV",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableRow:
    """A row below the heading."""

    line: int
    """The line of the file in which the row begins, from 1."""
    cells: tuple[str, ...]
    """The unchanged content of the cells; the number of cells is that of the heading if ``fault`` is None."""
    fault: str | None = None
    """What is wrong, if the number of cells differs from the heading's."""


@dataclass(frozen=True)
class CsvTable:
    """A table in a file, without rows that have only empty cells."""

    path: Path
    """The file."""
    heading: tuple[str, ...]
    """The names of the columns, without spaces around them."""
    rows: tuple[TableRow, ...]
    """The rows below the heading."""
    encoding: str
    """The file's encoding, as Python names it."""
    delimiter: str
    """The character between two cells."""

    def at(self, line: int) -> str:
        """The place of a line, for messages."""
        return f"{self.path}, line {line}"

    def column(self, names: Collection[str]) -> list[int]:
        """The positions of the columns with one of these (folded) names."""
        return [position for position, name in enumerate(self.heading) if folded(name) in names]


def folded(name: str) -> str:
    """A column's name for comparison: lower case, with ``_`` between words."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def read_csv_table(path: Path, first_column: Collection[str]) -> CsvTable:
    """Read a table.

    The encoding is UTF-8 (with or without a byte order mark), UTF-16, or else Windows-1252. The delimiter is the one
    that gives a heading with a name in ``first_column``, rows of the heading's length, and the most columns. Both are
    logged.

    Args:
        path: the file.
        first_column: the names, folded (:func:`folded`), of the column of images, which identify the heading.

    Raises:
        UserError: the file cannot be read, is not text, or has no heading or a cell with unclosed quotes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    text, encoding = _decoded(path, content)
    separator = _SEPARATOR_LINE.match(text)  # Excel's note of the delimiter
    delimiters = [separator[1]] if separator else list(DELIMITERS)
    candidates, failure = [], ""
    for delimiter in delimiters:
        try:
            rows = list(_rows(text[separator.end() :] if separator else text, delimiter))
        except csv.Error as error:
            failure = failure or f'{error}; are quotes (") closed, each in its own cell?'
            continue
        if rows:
            candidates.append((_fitness(rows, first_column), delimiter, rows))
    if not candidates:
        raise UserError(
            f"{path}: " + (stand_in(path) or failure or "is empty; expected a heading and a row for each image")
        )
    # max() takes the first of equals.
    (has_column, _, _), delimiter, rows = max(candidates, key=lambda candidate: candidate[0])
    heading = tuple(cell.strip() for cell in rows[0][1])
    first_line = 1 + bool(separator)
    if not has_column and (found := stand_in(path)) is not None:
        raise UserError(f"{path}: {found}")
    if not has_column and failure:
        raise UserError(f"{path}: {failure}")
    if not has_column:
        found = ", ".join(map(repr, heading[:6]))
        raise UserError(
            f"{path}: line {first_line} is {found}; expected a heading with a column 'image' "
            f"(or {', '.join(sorted(set(first_column) - {'image'}))}), and cells separated by "
            f"{', '.join(list(DELIMITERS.values())[:-1])} or pipe"
        )
    heading = _named_columns(path, heading)
    below = tuple(_row(line + bool(separator), cells, heading) for line, cells in rows[1:])
    log.info(
        "%s: %d rows, %d columns, separated by %s, encoding %s",
        path,
        len(below),
        len(heading),
        DELIMITERS.get(delimiter, repr(delimiter)),
        encoding,
    )
    return CsvTable(path, heading, below, encoding, delimiter)


def _named_columns(path: Path, heading: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a heading, without empty ones at the right of a spreadsheet; each must have its own name."""
    while heading and not heading[-1]:
        heading = heading[:-1]
    for name, number in Counter(heading).items():
        if not name:
            raise UserError(f"{path}: column {heading.index(name) + 1} has no name; give it one in the first line")
        if number > 1:
            raise UserError(f"{path}: two columns are named {name!r}; rename or remove one of them")
    return heading


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """The text of a file, and its encoding."""
    for beginning, fault in _NO_TEXT.items():
        if content.startswith(beginning):
            raise UserError(f"{path}: {fault}")
    encodings = [encoding for mark, encoding in _MARKS.items() if content.startswith(mark)]
    if not encodings:
        # In UTF-16 without a byte order mark, every second byte of English text is 0.
        zeros = content[:2000:2].count(0), content[1:2000:2].count(0)
        utf_16 = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        encodings = [utf_16] if any(zeros) else ["utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise UserError(f"{path}: is not text in UTF-8, UTF-16 or Windows-1252; save it as CSV in UTF-8")


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line numbers and cells of the rows; empty rows are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise csv.Error(f"line {line} cannot be split into cells ({error})") from None
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _fitness(rows: list[tuple[int, list[str]]], first_column: Collection[str]) -> tuple[bool, float, int]:
    """How well a delimiter fits; larger is better."""
    heading = rows[0][1]
    alike = sum(len(cells) == len(heading) for _, cells in rows) / len(rows)
    return any(folded(cell) in first_column for cell in heading), alike if len(heading) > 1 else 0, len(heading)


def _row(line: int, cells: list[str], heading: tuple[str, ...]) -> TableRow:
    while len(cells) > len(heading) and not cells[-1].strip():
        cells = cells[:-1]
    fault = None
    if len(cells) != len(heading):
        fault = f'has {len(cells)} cells, but the heading has {len(heading)}; quote (") a cell that holds the delimiter'
    return TableRow(line, tuple(cells), fault)
