"""How AdvCAM's seed, and the regions of its maps, change with the number of steps: as a table and as plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas
from markupsafe import Markup

from wsss_core.cams.amplification import REGIONS
from wsss_core.datasets.table_file import damaged_table
from wsss_core.evaluation.score_file import read_curve, read_scores
from wsss_core.files.atomic import atomic_path
from wsss_core.report.charts import COLOURS, Series, line_chart, series_class
from wsss_core.report.lettering import lettering
from wsss_core.report.score_table import threshold_in_words, write_table

matplotlib.use("Agg")
from matplotlib import pyplot

SEED, BEST = "seed", "seed at its best threshold"
COLUMNS = {SEED: "seed", BEST: "seed_oracle"}
PANEL_INCHES = 3.2


def report_climb_scores(
    dataset: str, scored: Mapping[str, Mapping[str, Any]], table_csv: Path, picture: Path
) -> pandas.DataFrame:
    """Write one table of all CAM variants, with a row for each number of steps, and draw it.

    Args:
        dataset: the data set's name.
        scored: by CAM variant, the files ``scores`` and ``amplification`` of
            :func:`wsss_core.cams.score_climb.score_climb`, and the seed's ``threshold``, described as in
            :func:`wsss_core.report.score_table.threshold_in_words`.
        table_csv: the table to write; shares in percent.
        picture: the plot to write, PNG: mIoU over the steps, and the share of each region's pixels that have grown.

    Returns:
        The table.

    Raises:
        UserError: a file is missing or damaged.
    """
    tables = {name: steps_table(described) for name, described in scored.items()}
    table = pandas.concat([made.assign(cams=name) for name, made in tables.items()], ignore_index=True)
    table = table[["cams", *(column for column in table if column != "cams")]]
    write_table(table, table_csv)
    _draw(f"{dataset}: AdvCAM over its steps", tables, picture)
    return table


def steps_table(described: Mapping[str, Any]) -> pandas.DataFrame:
    """The seed and the regions of one CAM variant after each step.

    Args:
        described: see :func:`report_climb_scores`.

    Returns:
        A row for each number of steps: ``steps``, ``seed`` (mIoU in percent, at the variant's own threshold),
        ``seed_oracle`` and ``best_threshold`` (the best one for that number of steps, by the masks), and by region
        ``grown_<region>`` (percent of its pixels above their value in the clean image's map) and ``ratio_<region>``
        (mean of value divided by that value). NaN where nothing was scored.

    Raises:
        UserError: a file is missing or damaged.
    """
    threshold, _ = threshold_in_words(described["threshold"])
    scores = read_scores(described["scores"], thresholds=True)
    if "steps" not in scores:
        raise damaged_table(described["scores"], "there is no column 'steps'")
    rows = []
    for _, curve in scores.groupby("steps", sort=True):
        own = curve.iloc[int((curve["threshold"] - threshold).abs().argmin())]
        above = curve[curve["threshold"] > 0]  # as thresholds are chosen
        best = above.iloc[int(above["miou"].fillna(-1).argmax())]
        values = {"seed": 100 * own["miou"], "seed_oracle": 100 * best["miou"], "best_threshold": best["threshold"]}
        rows.append({"steps": int(curve["steps"].iloc[0]), **values})
    table = pandas.DataFrame(rows)
    grown = read_curve(described["amplification"], key="step")
    for region in REGIONS:
        for column, factor in ((f"grown_{region}", 100), (f"ratio_{region}", 1)):
            if column not in grown or len(grown) != len(table):
                raise damaged_table(described["amplification"], f"'{column}' does not have {len(table)} steps")
            table[column] = factor * grown[column]
    return table


@dataclass(frozen=True)
class StepCharts:
    """What the report shows of the seeds after every step."""

    miou: Markup
    """Chart of mIoU over the number of steps."""
    grown: Markup
    """Chart of the share of each region's pixels that have grown."""
    miou_legend: list[tuple[str, str]]
    """Name and look of each line of the first chart."""
    grown_legend: list[tuple[str, str]]
    """The same for the second chart."""


def step_charts(scored: Mapping[str, Mapping[str, Any]]) -> StepCharts | None:
    """The charts for the report; None without any scores.

    Args:
        scored: see :func:`report_climb_scores`.
    """
    if not scored:
        return None
    tables = {name: steps_table(described) for name, described in scored.items()}
    miou = _lines(tables, COLUMNS)
    grown = _lines(tables, {f"{region} region": f"grown_{region}" for region in REGIONS})
    share = "share of the region's pixels, %"
    return StepCharts(
        line_chart("mIoU of the seed over AdvCAM's steps", miou, "steps", "mIoU, %", whole=True),
        line_chart("Pixels that have grown, over AdvCAM's steps", grown, "steps", share, whole=True),
        _legend(miou),
        _legend(grown),
    )


def _legend(lines: Sequence[Series]) -> list[tuple[str, str]]:
    return [(line.name, series_class(line.number)) for line in lines]


def _lines(tables: Mapping[str, pandas.DataFrame], columns: Mapping[str, str]) -> list[Series]:
    """The columns of all tables: a colour for each variant, with its second column dashed."""
    return [
        Series(
            f"{name}: {heading}",
            number % COLOURS + COLOURS * dashed,
            list(zip(table["steps"].astype(float), table[column], strict=True)),
        )
        for number, (name, table) in enumerate(tables.items())
        for dashed, (heading, column) in enumerate(columns.items())
    ]


def _draw(title: str, tables: Mapping[str, pandas.DataFrame], picture: Path) -> None:
    panels = {
        "mIoU of the seed, %": dict(COLUMNS),
        "pixels that have grown, %": {f"{region} region": f"grown_{region}" for region in REGIONS},
    }
    with lettering([title, *tables]) as written:
        figure, axes = pyplot.subplots(1, len(panels), figsize=(2 * PANEL_INCHES * 1.4, PANEL_INCHES * 1.4))
        for axis, (y_label, columns) in zip(axes, panels.items(), strict=True):
            for number, (name, table) in enumerate(tables.items()):
                colour = matplotlib.colormaps["tab10"](number % 10)
                for style, (heading, column) in zip(("-", "--"), columns.items(), strict=True):
                    label = written(f"{name}: {heading}")
                    axis.plot(table["steps"], table[column], style, color=colour, label=label, linewidth=1.5)
            axis.set_xlabel("steps")
            axis.set_ylabel(y_label)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=7, frameon=False)
        figure.suptitle(written(title), fontsize=10)
        figure.tight_layout()
        with atomic_path(picture) as temporary:
            figure.savefig(temporary, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
