"""A sweep's table and plot: the scores of every step at each combination of values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas

from wsss_core.files.atomic import atomic_path, write_text
from wsss_core.plan.sweeps import short_names, value_in_words
from wsss_core.report.lettering import lettering
from wsss_core.report.score_table import FIGURES, score_table, write_table
from wsss_core.report.score_text import (
    CONDITIONS_HEADING,
    conditions_in_text,
    figures_in_text,
    notes_in_text,
    sources_in_text,
)

matplotlib.use("Agg")
from matplotlib import pyplot

PANEL_INCHES = 3.2


def report_sweep(
    title: str, points: Sequence[Mapping[str, Any]], table_csv: Path, text_markdown: Path, picture: Path
) -> pandas.DataFrame:
    """Write a row per point, and draw each score of the experiment over the values.

    Args:
        title: data set, sweep and experiment, in words.
        points: each with its ``name``, its ``values`` by key and, as ``described``, an experiment as for
            :func:`wsss_core.report.score_table.score_table`.
        table_csv: the table to write for programs, with the full keys as columns.
        text_markdown: the table to write for people.
        picture: the plot, PNG, which the text shows; in the same folder.

    Returns:
        The table: the values as in YAML, then the columns of ``COLUMNS``; the experiments are the points' names.
    """
    values = pandas.DataFrame([point["values"] for point in points], dtype=object)
    scores = score_table({point["name"]: point["described"] for point in points})
    table = pandas.concat([values.map(value_in_words), scores], axis=1)
    fields = short_names(values.columns)
    write_table(table, table_csv)
    write_text(text_markdown, _markdown(title, table, fields, picture.name))
    reached = [figure for figure in FIGURES if table[figure].notna().any()]
    _draw(title, values, table[reached], fields, picture)
    return table


def _markdown(title: str, table: pandas.DataFrame, fields: Mapping[str, str], picture: str) -> str:
    reached = {figure: heading for figure, heading in FIGURES.items() if table[figure].notna().any()}
    keys = [f"`{short}` is `{field}`" for field, short in fields.items()]
    lines = [f"# {title} (mIoU, %)", "", *figures_in_text(table, fields, reached), ""]
    lines += [f"{'; '.join(keys)}.", "", *sources_in_text(table), *notes_in_text(table), ""]
    lines += [f"![{title}]({picture})", "", f"## {CONDITIONS_HEADING}", "", *conditions_in_text(table, fields)]
    return "\n".join(lines) + "\n"


def _draw(
    title: str, values: pandas.DataFrame, scores: pandas.DataFrame, fields: Mapping[str, str], picture: Path
) -> None:
    """Draw the scores over the first field.

    One field: a panel with a line per score. More: a panel per score with a line per combination of
    the others' values.
    """
    first, *others = fields
    places, ticks = _axis(values[first])
    titles = [FIGURES[str(column)].rstrip("*") for column in scores]
    if others:
        lines = [_combination(row, fields, others) for _, row in values.iterrows()]
        panels = [(name, scores[column], lines) for name, column in zip(titles, scores, strict=True)]
    else:
        stacked = scores.melt()["value"]
        lines = [name for name in titles for _ in range(len(scores))]
        panels, places = [("", stacked, lines)], [*places] * len(titles)
    texts = [title, *titles, *ticks.values(), *(line for _, _, names in panels for line in names), *fields.values()]
    with lettering(texts) as written:
        figure, axes = pyplot.subplots(
            1, len(panels), figsize=(PANEL_INCHES * len(panels) + 1.5, PANEL_INCHES), squeeze=False
        )
        for axis, (name, column, names) in zip(axes[0], panels, strict=True):
            different = list(dict.fromkeys(names))
            for number, line in enumerate(different):
                chosen = [i for i, other in enumerate(names) if other == line]
                chosen.sort(key=lambda i: places[i])
                colour = matplotlib.colormaps["viridis"](0.9 * number / max(len(different) - 1, 1))
                axis.plot(
                    [places[i] for i in chosen],
                    column.iloc[chosen],
                    "o-",
                    color=colour,
                    markersize=4,
                    label=written(line),
                )
            axis.set_title(name, fontsize=9)
            axis.set_xlabel(written(fields[first]))
            axis.set_xticks(list(ticks), list(map(written, ticks.values())))
            axis.grid(alpha=0.3)
        axes[0][0].set_ylabel("mIoU, %")
        axes[0][-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        figure.suptitle(written(title), fontsize=10)
        figure.tight_layout()
        with atomic_path(picture) as temporary:
            figure.savefig(temporary, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _axis(values: pandas.Series) -> tuple[list[float], dict[float, str]]:
    """Each value's place on the axis, and the words at the places; numbers are at their value."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    words = [value_in_words(value) for value in values]
    order = list(dict.fromkeys(words))
    places = [float(value) if numbers else float(order.index(word)) for value, word in zip(values, words, strict=True)]
    return places, dict(sorted(zip(places, words, strict=True)))


def _combination(row: pandas.Series, fields: Mapping[str, str], others: Sequence[str]) -> str:
    return ", ".join(f"{fields[field]} {value_in_words(row[field])}" for field in others)
