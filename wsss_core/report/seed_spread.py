"""Scores over several seeds: their mean, and how far they spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import pandas

from wsss_core.report.score_table import FIGURES, score_table
from wsss_core.report.score_text import oracle_mark

ALONE: dict[str, Any] = {"plain_cam": False, "chain": [], "trunk": None, "same": [], "repeats": []}
"""What :func:`wsss_core.plan.comparison.described_comparison` says of an experiment that is like no other."""


@dataclass(frozen=True)
class Spread:
    """A figure of one experiment over several seeds."""

    values: Sequence[float]
    """mIoU in percent, one for each seed, at least two."""

    @property
    def mean(self) -> float:
        """Their mean."""
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """Their standard deviation, that of a sample."""
        return stdev(self.values)


Spreads = Mapping[tuple[str, str], Spread]
"""By experiment and figure; only where several seeds ran."""


def seed_spreads(
    experiments: Mapping[str, Mapping[str, Any]], compared: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], Spread]:
    """The spread of every figure that has several seeds.

    Args:
        experiments: see :func:`wsss_core.report.score_table.score_table`.
        compared: see :func:`wsss_core.plan.comparison.described_comparison`.
    """
    spreads = {}
    for name, experiment in experiments.items():
        repeats = compared.get(name, ALONE)["repeats"]
        if not repeats:
            continue
        runs = [{**experiment, "classifier": None}, *repeats]
        table = score_table({str(number): run for number, run in enumerate(runs)})
        for figure in FIGURES:
            scored = "seed" if figure == "seed_oracle" else figure
            # What lies before the varied training is the same for all seeds, and counts once.
            by_file = {
                run["scores"][scored]: float(value)
                for run, value in zip(runs, table[figure], strict=True)
                if scored in run["scores"] and not pandas.isna(value)
            }
            if len(by_file) > 1:
                spreads[name, figure] = Spread(list(by_file.values()))
    return spreads


def weak_levels(table: pandas.DataFrame, spreads: Spreads) -> pandas.DataFrame:
    """The rows with only weak supervision: neither trained on masks nor with a threshold chosen with them.

    Args:
        table: of :func:`wsss_core.report.score_table.score_table`.
        spreads: where an experiment ran with several seeds, their mean stands in the figure's place.
    """
    return levels(table[[row["labels"] == "pseudo" and not oracle_mark(row) for _, row in table.iterrows()]], spreads)


def levels(table: pandas.DataFrame, spreads: Spreads) -> pandas.DataFrame:
    """The table with the mean over seeds in place of each figure that has several."""
    table = table.copy()
    for (name, figure), spread in spreads.items():
        table.loc[table["experiment"] == name, figure] = spread.mean
    return table
