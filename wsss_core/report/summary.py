"""The table that says what each step of each experiment was worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas

from wsss_core.atomic import atomic_path, write_text

COLUMNS = {
    "experiment": "experiment",
    "labels": "trained on",
    "seed": "seed",
    "seed_threshold": "at threshold",
    "seed_oracle": "seed at its best threshold*",
    "seed_oracle_threshold": "best threshold*",
    "refined_seed": "+ CRF",
    "pseudo_labels": "pseudo labels",
    "val": "DeepLab, val",
}
"""Columns of ``summary.csv`` and their headings in ``summary.md``."""

PERCENT = ("seed", "seed_oracle", "refined_seed", "pseudo_labels", "val")


def summarise(
    dataset: str, experiments: Mapping[str, Mapping[str, Any]], table_csv: Path, text_markdown: Path
) -> pandas.DataFrame:
    """Write a row per experiment: mIoU in percent after each step.

    Seed, CRF-refined seed and pseudo labels are scored on the training split, the segmenter's
    predictions on the validation split.

    Args:
        dataset: the data set's name.
        experiments: by name: ``labels`` (``pseudo`` or ``masks``), ``threshold`` (the fixed one
            that the seed is scored at) and ``scores``, the score files by what they score. An
            experiment that stops early, or a data set without masks, has fewer.
        table_csv: where the table goes for programs.
        text_markdown: where it goes for people.

    Returns:
        The table, with the columns of ``COLUMNS``.
    """
    rows = []
    for name, experiment in experiments.items():
        scores = experiment["scores"]
        row: dict[str, Any] = {"experiment": name, "labels": experiment["labels"]}
        if "seed" in scores:
            row.update(_seed(pandas.read_csv(scores["seed"]), experiment["threshold"]))
        for what in ("refined_seed", "pseudo_labels", "val"):
            if what in scores:
                row[what] = 100 * float(pandas.read_csv(scores[what])["miou"].iloc[0])
        rows.append(row)
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    with atomic_path(table_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    write_text(text_markdown, _markdown(dataset, table))
    return table


def _seed(curve: pandas.DataFrame, threshold: float) -> dict[str, float]:
    """The seed's score at the fixed threshold and, as an oracle, at the best one; none without masks."""
    if curve["miou"].isna().all():
        return {}
    fixed = curve.iloc[int((curve["threshold"] - threshold).abs().argmin())]
    best = curve.iloc[int(curve["miou"].argmax())]
    return {
        "seed": 100 * fixed["miou"],
        "seed_threshold": fixed["threshold"],
        "seed_oracle": 100 * best["miou"],
        "seed_oracle_threshold": best["threshold"],
    }


def _markdown(dataset: str, table: pandas.DataFrame) -> str:
    """The table with one decimal, and what its figures mean."""
    cells = [list(COLUMNS.values())]
    for _, row in table.iterrows():
        cells.append([_cell(column, row[column]) for column in COLUMNS])
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([f"# {dataset}: what each step was worth (mIoU, %)", "", *lines, "", *_notes(table)]) + "\n"


def _cell(column: str, value: Any) -> str:
    if pandas.isna(value):
        return "–"
    if column in PERCENT:
        return f"{value:.1f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _notes(table: pandas.DataFrame) -> list[str]:
    notes = [
        "Seed, + CRF and pseudo labels: training split. DeepLab: validation split.",
        "Thresholds are fixed in the configuration. *Best on train: chosen with the masks, an oracle, used by nothing.",
    ]
    if (table["labels"] == "masks").any():
        notes.append("Trained on masks: full supervision, the upper bound of the same segmenter; not weak supervision.")
    if table[list(PERCENT)].isna().all(axis=None):
        notes = ["The data set has no masks: there is nothing to score against."]
    return notes
