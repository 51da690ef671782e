"""A table of scores as Markdown, with one decimal, and what its figures mean."""

from collections.abc import Mapping, Sequence

import pandas

from wsss_core.plan.background_in_words import BEST_ON_TRAIN
from wsss_core.plan.score_conditions import CONDITIONS, WITH_SALIENCY
from wsss_core.report.score_table import FIGURES, MEASURES

CONDITIONS_HEADING = "Every figure and its conditions"
ORACLE = "†"
"""Marks experiments that use masks to choose a threshold."""
SALIENCY = "§"
"""Marks experiments whose labels were made with saliency maps."""
GUESS = "‡"
"""Marks experiments with settings that nobody has published."""


def figures_in_text(
    table: pandas.DataFrame, named: Mapping[str, str], figures: Mapping[str, str] = FIGURES
) -> list[str]:
    """Markdown table with the mIoU of each figure of each experiment, followed by published ones in brackets.

    Args:
        table: of :func:`wsss_core.report.score_table.score_table`; it may have more columns.
        named: columns that name the experiment, and their headings; the first column gets all marks.
        figures: the figures to show, and their headings.
    """
    cells = [[*named.values(), *figures.values()]]
    for _, row in table.iterrows():
        name, *more = (str(row[column]) for column in named)
        cells.append([f"{name}{marks(row)}", *more, *(percent(row[f]) + _published(row, f) for f in figures)])
    return markdown_table(cells)


def conditions_in_text(table: pandas.DataFrame, named: Mapping[str, str]) -> list[str]:
    """Markdown table with a line for each figure of each experiment: all its scores, and their conditions.

    Args:
        table: as for :func:`figures_in_text`.
        named: columns that name the experiment, and their headings.
    """
    cells = [[*named.values(), "figure", "mIoU", "published", *MEASURES.values(), *CONDITIONS.values()]]
    for _, row in table.iterrows():
        for what, heading in FIGURES.items():
            if pandas.isna(row[what]):
                continue
            first, *more = (str(row[column]) for column in named)
            names = [f"{first}{guess_mark(row)}", *more]
            published = percent(row.get(f"{what}_published"))
            measures = [percent(row[f"{what}_{measure}"]) for measure in MEASURES]
            said = [row[f"{what}_{name}"] for name in CONDITIONS]
            conditions = ["–" if pandas.isna(value) else str(value) for value in said]
            cells.append([*names, heading, percent(row[what]), published, *measures, *conditions])
    return markdown_table(cells)


def notes_in_text(table: pandas.DataFrame) -> list[str]:
    """Lines below a table of scores: the splits that were scored, and what is not weak supervision."""
    lines = [
        "Seed, + CRF, walk (without a CRF after it) and pseudo labels: training split. DeepLab: validation split.",
        "*Best on train: chosen with the masks, an oracle.",
    ]
    rows = [row for _, row in table.iterrows()]
    if any(map(oracle_mark, rows)):
        lines.append(f"{ORACLE} A threshold was chosen with masks (see below): not purely weak supervision.")
    if any(map(saliency_mark, rows)):
        lines.append(
            f"{SALIENCY} Labels were made with saliency maps: not purely weak supervision if the network that drew "
            "these maps learned from masks."
        )
    if (table["labels"] == "masks").any():
        lines.append("Trained on masks: full supervision, the upper bound of the same segmenter; not weak supervision.")
    if table["labels"].str.startswith("masks of ").any():
        lines.append(
            "Trained on the listed masks: not purely weak supervision (if nothing follows them, only on those images). "
            "The scores on the training split include the listed images."
        )
    return [*lines, *_guesses_in_text(rows)]


def _guesses_in_text(rows: Sequence[pandas.Series]) -> list[str]:
    """A line for each set of guessed settings, with the experiments that have them."""
    experiments: dict[str, list[str]] = {}
    for row in rows:
        if guess_mark(row):
            experiments.setdefault(str(row["guessed"]), []).append(str(row["experiment"]))
    return [
        f"{GUESS} Guessed, as nobody has published it"
        + ("" if len(names) == len(rows) else f" (in {', '.join(names)})")
        + f": {guessed}."
        for guessed, names in experiments.items()
    ]


def sources_in_text(table: pandas.DataFrame) -> list[str]:
    """Lines that say who published the figures in brackets."""
    lines = []
    for _, row in table.iterrows():
        if not pandas.isna(row["published_source"]):
            test = row["test_published"]
            served = "" if pandas.isna(test) else f"; VOC test {test:.1f}, by its server"
            lines.append(f"[ ] Published for {row['experiment']}: {row['published_source']}{served}.")
    return lines


def markdown_table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row of cells has the headings."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def percent(value: float | None) -> str:
    """A percentage with one decimal, or a dash where there is none."""
    return "–" if pandas.isna(value) else f"{value:.1f}"


def _published(row: pandas.Series, what: str) -> str:
    value = row.get(f"{what}_published")
    return "" if pandas.isna(value) else f" [{value:.1f}]"


def oracle_mark(row: pandas.Series) -> str:
    """What follows the name of an experiment that uses an oracle."""
    return f" {ORACLE}" if any(f"({BEST_ON_TRAIN})" in str(row[f"{what}_background"]) for what in FIGURES) else ""


def saliency_mark(row: pandas.Series) -> str:
    """What follows the name of an experiment whose labels were made with saliency maps."""
    used = any(WITH_SALIENCY in str(row.get(f"{what}_labels")) for what in FIGURES)
    return f" {SALIENCY}" if used else ""


def guess_mark(row: pandas.Series) -> str:
    """What follows the name of an experiment with guessed settings."""
    return "" if pandas.isna(row.get("guessed")) else f" {GUESS}"


def marks(row: pandas.Series) -> str:
    """All marks that follow the name of an experiment."""
    return oracle_mark(row) + saliency_mark(row) + guess_mark(row)
