"""The table of labels of a folder of images: a row for each label, or a column for each class."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsss_core.config.class_names import MOST_CLASSES, check_class_names
from wsss_core.datasets.faults import Fault, FaultKind
from wsss_core.datasets.folder.csv_table import CsvTable, TableRow, folded, read_csv_table
from wsss_core.datasets.folder.label_cells import labels_in
from wsss_core.datasets.joined_labels import joined_labels
from wsss_core.errors import UserError

IMAGE_COLUMNS = frozenset(
    {"image", "images", "image_id", "imageid", "image_name", "image_file", "image_path", "img", "id"}
    | {"file", "files", "filename", "file_name", "filepath", "file_path", "path"}
)
"""Names, folded, of the column of images."""
LABEL_COLUMNS = frozenset(
    {"label", "labels", "class", "classes", "class_name", "classname", "category", "categories", "tag", "tags"}
    | {"choice", "choices"}
)
"""Names, folded, of the column of labels; without one, every other column is a class."""
YES = frozenset({"1", "1.0", "true", "yes", "y", "x", "✓", "✔"})
NO = frozenset({"", "0", "0.0", "false", "no", "n", "-"})
"""The cells in the column of a class, whatever the case."""
NO_LABEL = frozenset(
    {"nan", "none", "null", "nil", "n/a", "na", "#n/a", "<na>", "-", "--", "?", "unlabeled", "unlabelled"}
)
"""Labels, whatever the case, that usually mean no label."""
YES_AND_NO = ({"0", "1"}, {"0.0", "1.0"}, {"no", "yes"}, {"n", "y"}, {"false", "true"}, {"f", "t"})
"""Pairs of labels, whatever the case, that usually say whether an image shows something, not what."""
_WITH_NUMBER = re.compile(r"(?P<name>.*[^\W\d].*?)\s*[:=]\s*[-+]?\d*\.?\d+\s*%?", re.DOTALL)
"""A name with a number, such as the score of a prediction."""
CellLabels = tuple[int, str, frozenset[str]]
"""Line number, image name as in the row, and the row's labels."""


@dataclass
class LabelTable:
    """The content of a table of labels; whether its images exist is not checked yet."""

    path: Path
    """The file."""
    heading: tuple[str, ...] = ()
    """The names of all columns."""
    one_hot: bool = False
    """Whether it has a column for each class, and so one row for each image."""
    classes: tuple[str, ...] = ()
    """The class list: the given one, or else the columns' names in their order, or the labels sorted."""
    rows: list[CellLabels] = field(default_factory=list)
    """The labels of each row, including those that are not in ``classes``."""
    faults: list[Fault] = field(default_factory=list)
    """What is wrong with the table as a whole."""
    row_faults: list[tuple[int, str, str]] = field(default_factory=list)
    """Line number, image name (may be empty) and what is wrong, of single rows."""
    warnings: list[Fault] = field(default_factory=list)
    """Oddities that do not prevent the work."""

    def at(self, line: int) -> str:
        """The place of a line, for messages."""
        return f"{self.path}, line {line}"


def plain(name: str) -> str:
    """A name for comparison: without spaces around it, in Unicode's composed normal form."""
    return unicodedata.normalize("NFC", name).strip()


def read_label_table(path: Path, classes: Sequence[str] | None) -> LabelTable:
    """Read a table of labels.

    The table is *long* if it has a column of labels: a row for each label of an image, or several labels in one cell
    (see ``label_cells``); an empty cell means an image without an object. Otherwise it is *one-hot*: every column but
    that of the images is a class, with 1 (true, yes, x) in the rows of images that show it.

    Args:
        path: the file.
        classes: the class list, if already known.

    Returns:
        The table's content and its faults.
    """
    labels = LabelTable(path, classes=tuple(classes or ()))
    try:
        table = read_csv_table(path, IMAGE_COLUMNS)
    except UserError as error:
        labels.faults.append(Fault(FaultKind.TABLE, str(path), str(error).removeprefix(f"{path}: ")))
        return labels
    images, of_labels = table.column(IMAGE_COLUMNS), table.column(LABEL_COLUMNS)
    labels.heading = table.heading
    labels.one_hot = not of_labels
    fault = _heading_fault(table, images, of_labels)
    if fault is None and labels.one_hot and classes is None:
        fault = _too_many(len(table.heading) - 1, "a column for each of {} classes")
    if fault is None and not table.rows:
        fault = "has a heading but no row; expected a row for each image"
    if fault is not None:
        labels.faults.append(Fault(FaultKind.TABLE, str(path), fault))
        return labels
    if of_labels:
        found = _long_rows(table, images[0], of_labels[0], labels)
        labels.rows += found
        names: Sequence[str] = sorted({name for _, _, row in found for name in row})
        fault = _too_many(len(names), "{} different labels") if classes is None else None
        if fault is not None:  # at once, because work for each class would take long
            return LabelTable(path, faults=[Fault(FaultKind.TABLE, str(path), fault)])
        if classes is None:
            _check_odd_labels(labels, names)
    else:
        names = [plain(name) for position, name in enumerate(table.heading) if position != images[0]]
        labels.rows += _one_hot_rows(table, images[0], labels)
    if classes is None:
        labels.classes = tuple(names)
        _check_found_classes(labels)
    else:
        _name_as_given(labels, classes)
    return labels


def _heading_fault(table: CsvTable, images: Sequence[int], of_labels: Sequence[int]) -> str | None:
    for columns, what in ((images, "images"), (of_labels, "labels")):
        if len(columns) > 1:
            names = " and ".join(repr(table.heading[position]) for position in columns)
            return f"the columns {names} could all be the column of {what}; keep one, or rename the others"
    if len(table.heading) == 1:
        return (
            f"has only the column {table.heading[0]!r}; expected 'image' and 'label', or 'image' and a column for "
            "each class"
        )
    return None


def _too_many(number: int, what: str) -> str | None:
    if number <= MOST_CLASSES:
        return None
    return (
        f"has {what.format(f'{number:,}')}; at most {MOST_CLASSES} classes are supported. Is it the right column or "
        "table? To use some of them, list 'classes' in the configuration"
    )


def _long_rows(table: CsvTable, image: int, label: int, labels: LabelTable) -> list[CellLabels]:
    rows = []
    known = {plain(name) for name in labels.classes}
    for row in table.rows:
        if row.fault is not None:
            several = "; give each label of an image its own row, or write all in one cell with ';' between them"
            labels.row_faults.append((row.line, _name_in(row, image), row.fault + several))
        elif not row.cells[image].strip():
            labels.row_faults.append((row.line, "", "names no image; fill the cell, or remove the row"))
        else:
            cell = plain(row.cells[label])
            try:
                rows.append((row.line, row.cells[image], frozenset({cell}) if cell in known else labels_in(cell)))
            except ValueError as error:
                labels.row_faults.append((row.line, _name_in(row, image), str(error)))
    return rows


def _one_hot_rows(table: CsvTable, image: int, labels: LabelTable) -> Iterator[CellLabels]:
    columns = [position for position in range(len(table.heading)) if position != image]
    whole = [row for row in table.rows if row.fault is None]
    for position in list(columns):
        # Not a fault for each row: a column of widths or dates is one mistake.
        cells = [row.cells[position].strip().casefold() for row in whole]
        if len(cells) > 1 and not any(cell in YES | NO for cell in cells):
            columns.remove(position)
            detail = (
                f"the column {table.heading[position]!r} has {cells[0]!r} and the like; a class's column has 1 or 0 "
                "(true or false, x or nothing). Remove it if it is no class; write labels in words in a column 'label'"
            )
            labels.faults.append(Fault(FaultKind.TABLE, str(table.path), detail))
    for row in table.rows:
        if row.fault is not None:
            labels.row_faults.append((row.line, _name_in(row, image), row.fault))
            continue
        if not row.cells[image].strip():
            labels.row_faults.append((row.line, "", "names no image; fill the cell, or remove the row"))
            continue
        shown = set()
        for position in columns:
            cell, name = row.cells[position].strip(), table.heading[position]
            if cell.casefold() in YES:
                shown.add(plain(name))
            elif cell.casefold() not in NO:
                detail = f"has {cell!r} in the column {name!r}; expected 1 or 0 (true or false, x or nothing)"
                labels.row_faults.append((row.line, row.cells[image], detail))
        yield row.line, row.cells[image], frozenset(shown)


def _name_in(row: TableRow, image: int) -> str:
    """The likely image of a row with too many or too few cells."""
    return row.cells[image] if image < len(row.cells) else ""


def _check_odd_labels(labels: LabelTable, names: Sequence[str]) -> None:
    """Add faults and warnings for labels that look like several in one, or like no class; for tables without a list."""
    if {name.casefold() for name in names} in YES_AND_NO:
        no, yes = sorted(names, key=str.casefold)
        detail = (
            f"the only labels are {no!r} and {yes!r}, which are taken as two classes; if {yes!r} says that an image "
            f"shows something, write its name instead, and leave the cell empty in place of {no!r}"
        )
        labels.warnings.append(Fault(FaultKind.ODD_LABEL, str(labels.path), detail))
    numbered = [name for name in names if _WITH_NUMBER.fullmatch(name)]
    if numbered:
        line = next(line for line, _, row in labels.rows if numbered[0] in row)
        name = _WITH_NUMBER.sub(r"\g<name>", numbered[0])
        further = f" (and {len(numbered) - 1} labels like it)" if len(numbered) > 1 else ""
        detail = (
            f"{numbered[0]!r} (line {line}){further} looks like a name and a number, and is taken as one class; if the "
            f"number is a score or similar, write only {name!r}"
        )
        labels.warnings.append(Fault(FaultKind.ODD_LABEL, str(labels.path), detail))
    sure = []
    for joined in joined_labels(name for name in names if name not in numbered):
        lines = [line for line, _, row in labels.rows if joined.label in row]
        text = f"{joined.in_words} (line {lines[0]}, {len(lines)} rows)"
        if joined.sure:
            sure.append(text)
            continue
        detail = f"{text}, and is taken as a class; if it means several, write ';' between them"
        labels.warnings.append(Fault(FaultKind.ODD_LABEL, str(labels.path), detail))
    if sure:
        further = f" (and {len(sure) - 1} labels like it)" if len(sure) > 1 else ""
        detail = (
            f"{sure[0]}{further}; write ';' between labels of one cell. If these are names of single classes, list "
            "'classes' in the configuration"
        )
        labels.faults.append(Fault(FaultKind.TABLE, str(labels.path), detail))
    for name in names:
        if name.casefold() in NO_LABEL:
            detail = f"{name!r} is taken as a class; if it means that an image shows none, leave the cell empty"
            labels.warnings.append(Fault(FaultKind.ODD_LABEL, str(labels.path), detail))


def _name_as_given(labels: LabelTable, classes: Sequence[str]) -> None:
    """Give the labels the spelling of the class list, if only the Unicode normal form differs."""
    given = {plain(name): name for name in classes}
    labels.rows = [
        (line, image, frozenset(given.get(name, name) for name in names)) for line, image, names in labels.rows
    ]


def _check_found_classes(labels: LabelTable) -> None:
    """Add faults if the class names of the table cannot be used."""
    if not labels.classes:
        labels.faults.append(Fault(FaultKind.TABLE, str(labels.path), "has no label at all; expected one in some row"))
        return
    try:
        check_class_names(labels.classes)
    except ValueError as error:
        what = str(error).replace("'classes'", "the table")
        detail = f"{what}; rename them, or list 'classes' in the configuration"
        labels.faults.append(Fault(FaultKind.TABLE, str(labels.path), detail))
    alike: dict[str, list[str]] = {}
    for name in labels.classes:
        alike.setdefault(folded(name), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            detail = f"{' and '.join(map(repr, names))} are different classes; if they should not be, spell them alike"
            labels.warnings.append(Fault(FaultKind.ALIKE_CLASSES, str(labels.path), detail))
