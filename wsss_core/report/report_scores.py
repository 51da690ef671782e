"""The report's table of scores."""

from typing import Any

import pandas

from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.score_table import FIGURES, MEASURES
from wsss_core.report.score_text import marks
from wsss_core.report.seed_spread import Spreads, levels, weak_levels


def table_rows(table: pandas.DataFrame, spreads: Spreads) -> list[dict[str, Any]]:
    """The rows of the table: each figure with its conditions, and whether it is the best of weak supervision."""
    weak, means = weak_levels(table, spreads), levels(table, spreads)
    rows = []
    for (_, row), (_, mean) in zip(table.iterrows(), means.iterrows(), strict=True):
        cells = {}
        for figure in FIGURES:
            if pandas.isna(row[figure]):
                continue
            said = {
                heading: str(row[f"{figure}_{condition}"])
                for condition, heading in CONDITIONS.items()
                if not pandas.isna(row[f"{figure}_{condition}"])
            }
            measured = {
                heading: None if pandas.isna(row[f"{figure}_{measure}"]) else float(row[f"{figure}_{measure}"])
                for measure, heading in MEASURES.items()
            }
            published = row.get(f"{figure}_published")
            compared = figure != "seed_oracle" and row["experiment"] in set(weak["experiment"])
            best = compared and weak[figure].notna().sum() > 1 and mean[figure] == weak[figure].max()
            cells[figure] = {
                "value": float(row[figure]),
                "published": None if published is None or pandas.isna(published) else float(published),
                "best": bool(best),
                "spread": spreads.get((row["experiment"], figure)),
                "said": said,
                "measured": measured,
                "in_words": "; ".join(f"{heading}: {value}" for heading, value in said.items()),
            }
        rows.append({"experiment": row["experiment"], "mark": marks(row), "labels": row["labels"], "cells": cells})
    return rows
