"""The summary of all experiments: what each step was worth, and under which conditions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas

from wsss_core.atomic import write_text
from wsss_core.report.score_table import FIGURES, score_table, write_table
from wsss_core.report.score_text import (
    CONDITIONS_HEADING,
    conditions_in_text,
    figures_in_text,
    notes_in_text,
    sources_in_text,
)


def summarise(
    dataset: str, experiments: Mapping[str, Mapping[str, Any]], table_csv: Path, text_markdown: Path
) -> pandas.DataFrame:
    """Write the scores of all experiments side by side.

    Args:
        dataset: the data set's name.
        experiments: see :func:`wsss_core.report.score_table.score_table`.
        table_csv: where the table goes for programs.
        text_markdown: where it goes for people.

    Returns:
        The table.
    """
    table = score_table(experiments)
    write_table(table, table_csv)
    write_text(text_markdown, _markdown(dataset, table))
    return table


def _markdown(dataset: str, table: pandas.DataFrame) -> str:
    """The tables with one decimal, and what their figures mean."""
    named = {"experiment": "experiment", "labels": "trained on"}
    lines = [f"# {dataset}: what each step was worth (mIoU, %)", "", *figures_in_text(table, named), ""]
    lines += sources_in_text(table)
    if table[list(FIGURES)].isna().all(axis=None):
        return "\n".join([*lines, "The data set has no masks: there is nothing to score against."]) + "\n"
    lines += [*notes_in_text(table), "", f"## {CONDITIONS_HEADING}", ""]
    return "\n".join([*lines, *conditions_in_text(table, {"experiment": "experiment"})]) + "\n"
