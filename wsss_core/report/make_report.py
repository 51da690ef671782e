"""The page about a run: which method won, where, why and at what cost. One file that needs no other, and no network."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas
from markupsafe import Markup

from wsss_core.config.stages import STAGES
from wsss_core.evaluation.classifier_verdict import verdict_in_text
from wsss_core.files.atomic import write_text
from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.artifact_graph import artifact_graph
from wsss_core.report.charts import line_chart, series_class
from wsss_core.report.classifier_scores import FIGURES as CLASSIFIER_FIGURES
from wsss_core.report.classifier_scores import NOTE, scored_classifiers
from wsss_core.report.climb_scores import step_charts
from wsss_core.report.climbs import draw_climbs
from wsss_core.report.corrections import corrections
from wsss_core.report.costs import costs_of_experiments, costs_of_rules, job_costs
from wsss_core.report.erasings import draw_erasings
from wsss_core.report.gallery import Gallery, draw_gallery
from wsss_core.report.pictured import Pictured
from wsss_core.report.score_table import FIGURES, MEASURES, score_table
from wsss_core.report.score_text import marks, notes_in_text, oracle_mark, sources_in_text
from wsss_core.report.seed_curves import class_scores, miou_over_thresholds, precision_over_recall, seed_curves
from wsss_core.report.training_curves import training_curves

TEMPLATES = Path(__file__).with_name("templates")
SMALL_CHART = (320, 210)
"""Width and height of the chart of one training."""


@dataclass(frozen=True)
class Run:
    """What a report is told of a run."""

    dataset: str
    """The data set's name."""
    folder: Path
    """``results/<dataset>``."""
    experiments: Mapping[str, Mapping[str, Any]]
    """See :func:`wsss_core.report.score_table.score_table`."""
    stages: Mapping[str, Mapping[str, str]]
    """By experiment and stage, the artifact's directory."""
    artifacts: Sequence[Mapping[str, Any]]
    """``stage``, ``variant``, ``directory`` and, by role, the directories ``upstream`` of all that is needed."""
    settings: Sequence[Mapping[str, Any]]
    """See :func:`wsss_core.config.differences.all_settings`."""
    pictured: Pictured
    """What the gallery is drawn from."""
    climbs: Mapping[str, Mapping[str, Any]]
    """See :func:`wsss_core.report.climbs.draw_climbs`."""
    classifiers: Sequence[Mapping[str, str]] = ()
    """See :func:`wsss_core.report.classifier_scores.scored_classifiers`."""
    corrections: Sequence[Mapping[str, Any]] = ()
    """See :func:`wsss_core.report.corrections.corrections`."""
    climb_scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """See :func:`wsss_core.report.climb_scores.step_charts`."""
    erasings: Mapping[str, str] = field(default_factory=dict)
    """See :func:`wsss_core.report.erasings.draw_erasings`."""


def make_report(run: Run, report_html: Path | str) -> None:
    """Write the page; a gallery too large for it goes on pages of its own beside it, ``gallery-1.html`` and so on.

    Args:
        run: what was run, and where its artifacts and scores lie.
        report_html: the file to write; it comes last.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    report_html = Path(report_html)
    gallery = draw_gallery(run.pictured)
    gallery_pages = _write_gallery(run.dataset, gallery, report_html.parent)
    table = score_table(run.experiments)
    curves = seed_curves(run.experiments)
    trainings = training_curves(run.artifacts)
    jobs = job_costs(run.folder, run.artifacts)
    classifiers = scored_classifiers(run.classifiers)
    by_directory = {str(Path(c["scores"]).parent): s for c, s in zip(run.classifiers, classifiers, strict=True)}
    page = (
        environment()
        .get_template("report.html")
        .render(
            title=run.dataset,
            experiments=[{"name": name, "look": series_class(n)} for n, name in enumerate(run.experiments)],
            scored=not table[list(FIGURES)].isna().all(axis=None),
            figures=FIGURES,
            measures=MEASURES,
            conditions=CONDITIONS,
            rows=table_rows(table),
            winners=winners(table),
            notes=notes_in_text(table),
            image_tables=_image_tables(run, report_html.parent),
            sources=sources_in_text(table),
            curves=curves,
            looks=[series_class(curve.number) for curve in curves],
            miou_chart=line_chart(
                "mIoU of the seed over the threshold",
                miou_over_thresholds(curves),
                "threshold: below it is background",
                "mIoU of the seed, %",
            ),
            precision_chart=line_chart(
                "Precision over recall of the seed", precision_over_recall(curves), "recall, %", "precision, %"
            ),
            class_scores=class_scores(run.experiments),
            classifiers=classifiers,
            classifier_figures=CLASSIFIER_FIGURES,
            classifier_note=NOTE,
            corrections=corrections(run.corrections),
            warnings=[verdict_in_text(scored.verdict) for scored in classifiers if scored.verdict.is_warning],
            trainings=[
                {
                    "curve": training,
                    "scored": by_directory.get(training.directory),
                    "looks": [series_class(line.number) for line in training.series],
                    "chart": line_chart(
                        f"Loss of {training.stage} {training.variant} over the epochs",
                        training.series,
                        "epoch",
                        "loss",
                        SMALL_CHART,
                        lowest=0,
                        whole=True,
                    ),
                }
                for training in trainings
            ],
            costs=costs_of_rules(jobs),
            job_costs=sorted(jobs, key=lambda job: -job.seconds),
            experiment_costs=costs_of_experiments(jobs, run.artifacts, run.stages),
            graph=artifact_graph(run.artifacts, run.stages),
            artifacts=run.artifacts,
            settings=run.settings,
            gallery=gallery,
            gallery_pages=gallery_pages,
            climbs=draw_climbs(run.climbs, run.pictured.masks_csv),
            climb_scores=step_charts(run.climb_scores),
            erasings=draw_erasings(run.erasings),
            cards=gallery.pages[0] if gallery.pages else [],
            shown=sum(map(len, gallery.pages)),
        )
    )
    _write_page(report_html, page)


def _image_tables(run: Run, folder: Path) -> dict[str, dict[str, str]]:
    """By experiment and figure's heading, the table of single images, as the page in ``folder`` links to it."""
    tables: dict[str, dict[str, str]] = {}
    for name, directories in run.stages.items():
        for stage, directory in directories.items():
            row = STAGES.get(stage)  # none of the threshold that a seed is made with
            if row is None or row.figure is None or row.images_file is None:
                continue
            table = Path(directory, row.images_file)
            if table.is_file():
                tables.setdefault(name, {})[row.figure[1]] = os.path.relpath(table, folder)
    return tables


def _write_gallery(title: str, gallery: Gallery, folder: Path) -> list[str]:
    """Write the gallery's pages, if it has several, and delete those of an earlier run; the files' names."""
    names = [f"gallery-{number}.html" for number in range(1, len(gallery.pages) + 1)] if len(gallery.pages) > 1 else []
    for file in folder.glob("gallery-*.html"):
        if file.name not in names:
            file.unlink()
    template = environment().get_template("gallery_page.html")
    shown = sum(map(len, gallery.pages))
    for number, name in enumerate(names, start=1):
        cards = gallery.pages[number - 1]
        page = template.render(title=title, number=number, pages=names, gallery=gallery, cards=cards, shown=shown)
        _write_page(folder / name, page)
    return names


def _write_page(path: Path, page: str) -> None:
    # A file's name may hold bytes that are no text, which Python keeps as characters that cannot be written.
    write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def environment() -> jinja2.Environment:
    """What the page's templates are rendered with: everything is escaped, nothing may be missing."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=_percent, duration=_duration, memory=_memory, shade=_shade, setting=_setting)
    made.globals.update(file=_packaged)
    return made


def table_rows(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of the table of scores: each figure with its conditions, the best of weak supervision marked."""
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
    """Of the figures that methods are compared by, the best of weak supervision and the upper bound."""
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
    """The experiments of weak supervision alone: neither trained on masks nor with a threshold chosen by them."""
    kept = [row["labels"] == "pseudo" and not oracle_mark(row) for _, row in table.iterrows()]
    return table[kept]


def _packaged(name: str) -> Markup:
    """A style sheet or a script, which becomes part of the page."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.1f}"


def _duration(seconds: float) -> str:
    """Seconds in words that fit a table."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"


def _memory(mebibytes: float) -> str:
    if math.isnan(mebibytes):
        return "–"
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def _shade(percent: float | None) -> str:
    """How strong the colour behind a percentage is."""
    return "0" if percent is None else f"{0.04 + 0.6 * percent / 100:.2f}"


def _setting(value: Any) -> str:
    """A setting as YAML would have it in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
