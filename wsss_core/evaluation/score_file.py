"""Reading tables of scores and of training curves, which thresholds are chosen by and reports are made of."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from wsss_core.datasets.table_file import damaged_table, read_table

if TYPE_CHECKING:
    import pandas

SHARES = ("threshold", "miou", "precision", "recall", "pixel_accuracy", "boundary_f")
"""Columns of numbers from 0 to 1; so are those of the classes."""
IOU = "iou_"
"""What the columns with the classes' IoU begin with."""


def read_scores(scores_csv: Path | str, thresholds: bool = False) -> "pandas.DataFrame":
    """Read a table of scores, of :mod:`wsss_core.evaluation.score`.

    Args:
        scores_csv: the table.
        thresholds: there has to be a column with thresholds, though it may be empty.

    Returns:
        The table, a row at least; scores are numbers from 0 to 1, or NaN.

    Raises:
        UserError: the file is missing or damaged.
    """
    table = _table(scores_csv, ["miou", *(["threshold"] if thresholds else [])])
    if table.empty:
        raise damaged_table(scores_csv, "it has no row")
    for name in table.columns:
        if name == "images_scored":
            table[name] = _numbers(scores_csv, table[name])
        if name in SHARES or name.startswith(IOU):
            table[name] = _numbers(scores_csv, table[name])
            if ((table[name] < 0) | (table[name] > 1)).any():
                raise damaged_table(scores_csv, f"'{name}' has values that do not lie in [0, 1]")
    return table


def read_curve(training_csv: Path | str, key: str = "epoch") -> "pandas.DataFrame":
    """Read the curve of a training, of :func:`wsss_core.training.curve.write_curve`; all columns are numbers.

    Args:
        training_csv: the table.
        key: a column that it has to have; of a table of something else, that table's.

    Raises:
        UserError: the file is missing or damaged.
    """
    table = _table(training_csv, [key])
    for name in table.columns:
        table[name] = _numbers(training_csv, table[name])
    return table


def _table(path: Path | str, columns: Collection[str]) -> "pandas.DataFrame":
    import pandas  # here: jobs that are told a threshold import this room, too, and need no tables

    heading = read_table(path)[0]
    if missing := [name for name in columns if name not in heading]:
        raise damaged_table(path, f"it has no column '{missing[0]}'")
    if len({*heading}) < len(heading):
        raise damaged_table(path, "it has two columns of one name")
    return pandas.read_csv(path)


def _numbers(path: Path | str, column: "pandas.Series") -> "pandas.Series":
    import pandas

    try:
        return pandas.to_numeric(column).astype(float)
    except (ValueError, TypeError) as error:
        raise damaged_table(path, f"'{column.name}': {error}") from None
