"""The seed's scores at every threshold, and each class's IoU after each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from wsss_core.evaluation.score_file import IOU, read_scores
from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.charts import Series
from wsss_core.report.score_table import FIGURES, nearest_row, threshold_in_words

HEATED = ("seed", "pseudo_labels", "val")
"""The figures that are shown class by class."""


@dataclass(frozen=True)
class SeedCurve:
    """The scores of class maps at every threshold."""

    experiments: Sequence[str]
    """The experiments that use these maps."""
    number: int
    """The position of the first of them, which gives the colour."""
    table: pandas.DataFrame
    """Columns ``threshold``, ``miou``, ``precision``, ``recall``, all but the first in percent."""
    threshold: float
    """The seed's threshold."""
    words: str
    """The threshold, and where it comes from."""

    @property
    def name(self) -> str:
        """The experiments' names."""
        return ", ".join(self.experiments)

    @property
    def at_threshold(self) -> pandas.Series:
        """The row of the seed's threshold."""
        return nearest_row(self.table, self.threshold)


def seed_curves(experiments: Mapping[str, Mapping[str, Any]]) -> list[SeedCurve]:
    """The curves of all class maps with scores; experiments that share their maps and threshold share a curve.

    Args:
        experiments: as for :func:`wsss_core.report.score_table.score_table`.
    """
    shared: dict[tuple[str, str], list[str]] = {}
    thresholds: dict[tuple[str, str], float] = {}
    for name, experiment in experiments.items():
        if "seed" in experiment["scores"]:
            threshold, words = threshold_in_words(experiment["seed_threshold"])
            key = experiment["scores"]["seed"], words
            shared.setdefault(key, []).append(name)
            thresholds[key] = threshold
    names, curves = list(experiments), []
    for (file, words), users in shared.items():
        table = read_scores(file, thresholds=True)
        kept = table[[column for column in ("threshold", "miou", "precision", "recall") if column in table]]
        if not kept["miou"].isna().all():
            kept = kept.assign(**{column: 100 * kept[column] for column in kept.columns[1:]})
            curves.append(SeedCurve(users, names.index(users[0]), kept, thresholds[file, words], words))
    return curves


def miou_over_thresholds(curves: Sequence[SeedCurve]) -> list[Series]:
    """A line per curve: mIoU over the threshold, the seed's own threshold marked."""
    lines = []
    for curve in curves:
        at = curve.at_threshold
        lines.append(
            Series(
                curve.name,
                curve.number,
                list(zip(curve.table["threshold"], curve.table["miou"], strict=True)),
                (float(at["threshold"]), float(at["miou"])),
                f"{curve.name}: {at['miou']:.1f} at {curve.words}",
            )
        )
    return lines


def precision_over_recall(curves: Sequence[SeedCurve]) -> list[Series]:
    """A line per curve: precision over recall, from threshold to threshold, the seed's own one marked."""
    lines = []
    for curve in curves:
        if {"precision", "recall"} <= set(curve.table.columns):
            at = curve.at_threshold
            # At threshold 0, where only background is left, precision falls to the background's: no part of the curve.
            table = curve.table[curve.table["threshold"] > 0]
            lines.append(
                Series(
                    curve.name,
                    curve.number,
                    list(zip(table["recall"], table["precision"], strict=True)),
                    (float(at["recall"]), float(at["precision"])),
                    f"{curve.name}: precision {at['precision']:.1f}, recall {at['recall']:.1f} at {curve.words}",
                )
            )
    return lines


@dataclass(frozen=True)
class ClassScores:
    """The IoU of every class in one figure, by experiment."""

    heading: str
    """What is scored."""
    experiments: Sequence[str]
    """The columns."""
    rows: Sequence[tuple[str, Sequence[float | None]]]
    """A class and its IoU in percent, by experiment; None for a class that no mask shows."""
    said: Sequence[str]
    """By experiment, the conditions of the scores."""


def class_scores(experiments: Mapping[str, Mapping[str, Any]]) -> list[ClassScores]:
    """The IoU of every class after the steps of ``HEATED``; steps without scores are left out.

    Args:
        experiments: as for :func:`wsss_core.report.score_table.score_table`.
    """
    found = []
    for figure in HEATED:
        columns: dict[str, pandas.Series] = {}
        said = []
        for name, experiment in experiments.items():
            if figure in experiment["scores"]:
                table = read_scores(experiment["scores"][figure], thresholds=figure == "seed")
                threshold = experiment["seed_threshold"] if figure == "seed" else None
                row = nearest_row(table, threshold_in_words(threshold)[0]) if threshold else table.iloc[0]
                if not pandas.isna(row["miou"]):
                    columns[name] = row
                    conditions = {key: row.get(key) for key in CONDITIONS}
                    if threshold:
                        conditions["background"] = threshold_in_words(threshold)[1]
                    words = (
                        f"{CONDITIONS[key]}: {value}" for key, value in conditions.items() if not pandas.isna(value)
                    )
                    said.append("; ".join(words))
        classes = dict.fromkeys(c for row in columns.values() for c in row.index if c.startswith(IOU))
        rows = [
            (column.removeprefix(IOU), [_percent(row.get(column)) for row in columns.values()]) for column in classes
        ]
        if rows:
            found.append(ClassScores(FIGURES[figure], list(columns), rows, said))
    return found


def _percent(value: Any) -> float | None:
    return None if value is None or pandas.isna(value) else 100 * float(value)
