"""The tables that say what each step of each experiment was worth, and under which conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from wsss_core.atomic import atomic_path, write_text
from wsss_core.config.background import multiple_of
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.score_conditions import BEST_ON_TRAIN

COLUMNS = {
    "experiment": "experiment",
    "labels": "trained on",
    "seed": "seed",
    "seed_oracle": "seed at its best threshold*",
    "refined_seed": "+ CRF",
    "walk": "walk",
    "pseudo_labels": "pseudo labels",
    "val": "DeepLab, val",
}
"""Columns of ``summary.csv`` with scores, and their headings in ``summary.md``."""
CONDITIONS = {
    "experiment": "experiment",
    "seed_threshold": "seed",
    "seed_oracle_threshold": "best*",
    "refined_seed_background": "+ CRF",
    "pseudo_labels_background": "walk, pseudo labels",
    "pseudo_labels_crf": "CRF after the walk",
    "pseudo_labels_without_label": "without label",
    "val_seen_at": "DeepLab sees",
    "val_crf": "CRF after DeepLab",
}
"""Columns with the conditions of those scores, and their headings."""

ORACLE = "†"
"""Marks experiments that use masks to choose a threshold."""
PERCENT = ("seed", "seed_oracle", "refined_seed", "walk", "pseudo_labels", "val")


def summarise(
    dataset: str, experiments: Mapping[str, Mapping[str, Any]], table_csv: Path, text_markdown: Path
) -> pandas.DataFrame:
    """Write a row per experiment: mIoU in percent after each step, and the conditions it was scored under.

    Seed, CRF-refined seed, walked maps and pseudo labels are scored on the training split, the
    segmenter's predictions on the validation split.

    Args:
        dataset: the data set's name.
        experiments: by name: ``labels`` (``pseudo`` or ``masks``), ``seed_threshold`` and
            ``walk_threshold`` (each None, or ``fixed`` or the ``file`` it was chosen in, ``source``,
            and ``times``, which it is multiplied by), and ``scores``, the score files by what they
            score. An experiment that stops early, or a data set without masks, has fewer.
        table_csv: where the table goes for programs.
        text_markdown: where it goes for people.

    Returns:
        The table, with the columns of ``COLUMNS`` and ``CONDITIONS``.
    """
    rows = []
    for name, experiment in experiments.items():
        scores = experiment["scores"]
        row: dict[str, Any] = {"experiment": name, "labels": experiment["labels"]}
        if "seed" in scores:
            row.update(_seed(pandas.read_csv(scores["seed"]), experiment["seed_threshold"]))
        if "walk" in scores:
            row["walk"] = _walk(pandas.read_csv(scores["walk"]), experiment["walk_threshold"])
        for what in ("refined_seed", "pseudo_labels", "val"):
            if what in scores:
                scored = pandas.read_csv(scores[what]).iloc[0]
                row[what] = 100 * float(scored["miou"])
                for condition in ("background", "crf", "without_label", "seen_at"):
                    if condition in scored:
                        row[f"{what}_{condition}"] = scored[condition]
        rows.append(row)
    table = pandas.DataFrame(rows, columns=list(COLUMNS | CONDITIONS))
    with atomic_path(table_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    write_text(text_markdown, _markdown(dataset, table))
    return table


def _threshold(described: Mapping[str, Any]) -> float:
    """The number behind a description of a threshold."""
    chosen = described["fixed"] if described["file"] is None else read_threshold(described["file"])["threshold"]
    return multiple_of(described.get("times", 1), float(chosen))


def _at(curve: pandas.DataFrame, threshold: float) -> pandas.Series:
    """The row of the nearest threshold."""
    return curve.iloc[int((curve["threshold"] - threshold).abs().argmin())]


def _seed(curve: pandas.DataFrame, described: Mapping[str, Any]) -> dict[str, Any]:
    """The seed's score at its threshold and, as an oracle, at the best one; none without masks."""
    if curve["miou"].isna().all():
        return {}
    threshold = _threshold(described)
    curve = curve[curve["threshold"] > 0]  # as thresholds are chosen
    best = curve.iloc[int(curve["miou"].argmax())]
    return {
        "seed": 100 * _at(curve, threshold)["miou"],
        "seed_threshold": f"{threshold:.2f} ({described['source']})",
        "seed_oracle": 100 * best["miou"],
        "seed_oracle_threshold": f"{best['threshold']:.2f}",
    }


def _walk(curve: pandas.DataFrame, described: Mapping[str, Any] | None) -> float:
    """The score of walked maps: at the pseudo labels' threshold, or with the background that walked along."""
    if curve["threshold"].isna().all():
        return 100 * float(curve["miou"].iloc[0])
    return float("nan") if described is None else 100 * float(_at(curve, _threshold(described))["miou"])


def _markdown(dataset: str, table: pandas.DataFrame) -> str:
    """The tables with one decimal, and what their figures mean."""
    marked = table.assign(experiment=[f"{row['experiment']}{_mark(row)}" for _, row in table.iterrows()])
    lines = [f"# {dataset}: what each step was worth (mIoU, %)", "", *_table(marked, COLUMNS), ""]
    if table[list(PERCENT)].isna().all(axis=None):
        return "\n".join([*lines, "The data set has no masks: there is nothing to score against."]) + "\n"
    lines += [*_notes(table), "", "## Where the background begins, and other conditions of these figures", ""]
    return "\n".join([*lines, *_table(table, CONDITIONS)]) + "\n"


def _table(table: pandas.DataFrame, headings: Mapping[str, str]) -> Sequence[str]:
    cells = [list(headings.values())]
    for _, row in table.iterrows():
        cells.append([_cell(column, row[column]) for column in headings])
    widths = [max(len(line[i]) for line in cells) for i in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _cell(column: str, value: Any) -> str:
    if pandas.isna(value):
        return "–"
    return f"{value:.1f}" if column in PERCENT else str(value)


def _mark(row: pandas.Series) -> str:
    """What stands behind the name of an experiment that uses an oracle."""
    return f" {ORACLE}" if any(f"({BEST_ON_TRAIN})" in str(row[column]) for column in CONDITIONS) else ""


def _notes(table: pandas.DataFrame) -> list[str]:
    notes = [
        "Seed, + CRF, walk (without a CRF after it) and pseudo labels: training split. DeepLab: validation split.",
        "*Best on train: chosen with the masks, an oracle.",
    ]
    if any(map(_mark, (row for _, row in table.iterrows()))):
        notes.append(f"{ORACLE} A threshold of this experiment was chosen so (see below): not weak supervision alone.")
    if (table["labels"] == "masks").any():
        notes.append("Trained on masks: full supervision, the upper bound of the same segmenter; not weak supervision.")
    return notes
