"""The summary of all experiments: the scores of each step, and their conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from wsss_core.evaluation.classifier_verdict import verdict_in_text
from wsss_core.files.atomic import write_text
from wsss_core.report.classifier_scores import FIGURES as CLASSIFIER_FIGURES
from wsss_core.report.classifier_scores import NOTE, ScoredClassifier, scored_classifiers
from wsss_core.report.score_table import FIGURES, score_table, write_table
from wsss_core.report.score_text import (
    CONDITIONS_HEADING,
    conditions_in_text,
    figures_in_text,
    markdown_table,
    notes_in_text,
    percent,
    sources_in_text,
)


def summarise(
    dataset: str,
    experiments: Mapping[str, Mapping[str, Any]],
    table_csv: Path,
    text_markdown: Path,
    classifiers: Sequence[Mapping[str, str]] = (),
) -> pandas.DataFrame:
    """Write the scores of all experiments side by side, after warnings about classifiers.

    Args:
        dataset: the data set's name.
        experiments: see :func:`wsss_core.report.score_table.score_table`.
        table_csv: the table to write, for programs.
        text_markdown: the table to write, for people.
        classifiers: see :func:`wsss_core.report.classifier_scores.scored_classifiers`.

    Returns:
        The table.
    """
    table = score_table(experiments)
    write_table(table, table_csv)
    write_text(text_markdown, "\n".join(_markdown(dataset, table, scored_classifiers(classifiers))) + "\n")
    return table


def _markdown(dataset: str, table: pandas.DataFrame, classifiers: Sequence[ScoredClassifier]) -> list[str]:
    """The tables with one decimal, and what their figures mean."""
    named = {"experiment": "experiment", "labels": "trained on"}
    lines = [f"# {dataset}: what each step was worth (mIoU, %)", ""]
    for scored in classifiers:
        if scored.verdict.is_warning:
            lines += [f"**Warning**: {verdict_in_text(scored.verdict)}", ""]
    lines += [*figures_in_text(table, named), "", *sources_in_text(table)]
    if table[list(FIGURES)].isna().all(axis=None):
        lines.append("The data set has no masks: there is nothing to score against.")
    else:
        lines += [*notes_in_text(table), "", f"## {CONDITIONS_HEADING}", ""]
        lines += conditions_in_text(table, {"experiment": "experiment"})
    return [*lines, *_classifiers_in_text(classifiers)]


def _classifiers_in_text(classifiers: Sequence[ScoredClassifier]) -> list[str]:
    """The scores of the classifiers, then those of every class."""
    if not classifiers:
        return []
    cells = [["classifier", *CLASSIFIER_FIGURES.values(), "verdict"]]
    for scored in classifiers:
        figures = (percent(scored.mean[figure]) for figure in CLASSIFIER_FIGURES)
        cells.append([scored.variant, *figures, scored.verdict.sentence])
    lines = ["", "## Classifiers (%)", "", *markdown_table(cells), "", NOTE, ""]
    headings = (f"{scored.variant}: {what}" for scored in classifiers for what in ("AP", "F1"))
    cells = [["class", "validation images", *headings]]
    for name, images in classifiers[0].shown_by.items():
        rows = (scored.classes[name] for scored in classifiers)
        cells.append([name, str(images), *(percent(row[f]) for row in rows for f in ("average_precision", "f1"))])
    return [*lines, "## Classifiers, class by class (%)", "", *markdown_table(cells)]
