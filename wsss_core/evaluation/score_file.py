"""Reads tables of scores and of training curves, for choosing thresholds and for reports."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from wsss_core.datasets.table_file import damaged_table, read_table

if TYPE_CHECKING:
    import pandas

SHARES = ("threshold", "miou", "precision", "recall", "pixel_accuracy", "boundary_f")
"""Columns of numbers from 0 to 1, in addition to those of the classes."""
IOU = "iou_"
"""The prefix of the columns with the classes' IoU."""


def read_scores(scores_csv: Path | str, thresholds: bool = False) -> "pandas.DataFrame":
    """Read a table of scores written by :mod:`wsss_core.evaluation.score`.

    Args:
        scores_csv: the table.
        thresholds: require a column of thresholds, which may be empty.

    Returns:
        The table, with at least one row; scores are numbers from 0 to 1, or NaN.

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
                raise damaged_table(scores_csv, f"'{name}' has values outside [0, 1]")
    return table


def read_curve(training_csv: Path | str, key: str = "epoch") -> "pandas.DataFrame":
    """Read a training curve written by :func:`wsss_core.training.curve.write_curve`; all columns are numbers.

    Args:
        training_csv: the table.
        key: a required column, which differs for tables of other kinds.

    Raises:
        UserError: the file is missing or damaged.
    """
    table = _table(training_csv, [key])
    for name in table.columns:
        table[name] = _numbers(training_csv, table[name])
    return table


def _table(path: Path | str, columns: Collection[str]) -> "pandas.DataFrame":
    import pandas  # here, because jobs with a fixed threshold also import this module, and need no tables

    heading = read_table(path)[0]
    if missing := [name for name in columns if name not in heading]:
        raise damaged_table(path, f"it has no column '{missing[0]}'")
    if len({*heading}) < len(heading):
        raise damaged_table(path, "it has two columns with the same name")
    return pandas.read_csv(path)


def _numbers(path: Path | str, column: "pandas.Series") -> "pandas.Series":
    import pandas

    try:
        return pandas.to_numeric(column).astype(float)
    except (ValueError, TypeError) as error:
        raise damaged_table(path, f"'{column.name}': {error}") from None
