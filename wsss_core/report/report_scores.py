"""The report's table of scores, and its winners."""

from typing import Any

import pandas

from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.score_table import FIGURES, MEASURES
from wsss_core.report.score_text import marks, oracle_mark


def table_rows(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of the table: each figure with its conditions, and whether it is the best of weak supervision."""
    weak = _weak(table)
    rows = []
    for _, row in table.iterrows():
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
            best = compared and weak[figure].notna().sum() > 1 and row[figure] == weak[figure].max()
            cells[figure] = {
                "value": float(row[figure]),
                "published": None if published is None or pandas.isna(published) else float(published),
                "best": bool(best),
                "said": said,
                "measured": measured,
                "in_words": "; ".join(f"{heading}: {value}" for heading, value in said.items()),
            }
        rows.append({"experiment": row["experiment"], "mark": marks(row), "labels": row["labels"], "cells": cells})
    return rows


def winners(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The best of weak supervision and the upper bound, for the figures that methods are compared by."""
    found = []
    for figure in ("seed", "pseudo_labels", "val"):
        weak = _weak(table)
        weak = weak[weak[figure].notna()]
        if len(weak):
            best = weak.iloc[int(weak[figure].astype(float).argmax())]
            bounds = table[(table["labels"] == "masks") & table[figure].notna()]
            found.append(
                {
                    "figure": FIGURES[figure],
                    "experiment": best["experiment"],
                    "value": float(best[figure]),
                    "alone": len(weak) == 1,
                    "bound": float(bounds[figure].max()) if len(bounds) else None,
                }
            )
    return found


def _weak(table: pandas.DataFrame) -> pandas.DataFrame:
    """The experiments with only weak supervision: neither trained on masks nor with a threshold chosen with them."""
    kept = [row["labels"] == "pseudo" and not oracle_mark(row) for _, row in table.iterrows()]
    return table[kept]
