"""The page about a run: which method won, where, why and at what cost. One file, which needs no network."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from wsss_core.config.stages import STAGES
from wsss_core.evaluation.classifier_verdict import verdict_in_text
from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.artifact_graph import artifact_graph
from wsss_core.report.charts import line_chart, series_class
from wsss_core.report.classifier_scores import FIGURES as CLASSIFIER_FIGURES
from wsss_core.report.classifier_scores import NOTE, ScoredClassifier, scored_classifiers
from wsss_core.report.climb_scores import step_charts
from wsss_core.report.climbs import draw_climbs
from wsss_core.report.corrections import corrections
from wsss_core.report.costs import costs_of_experiments, costs_of_rules, job_costs
from wsss_core.report.erasings import draw_erasings
from wsss_core.report.examples import draw_examples
from wsss_core.report.gallery import Gallery, draw_gallery
from wsss_core.report.opening import GOALS, Measured, make_opening, split_of
from wsss_core.report.other_images import DRAWS
from wsss_core.report.page import write_page
from wsss_core.report.pictured import Pictured
from wsss_core.report.report_scores import table_rows
from wsss_core.report.score_table import FIGURES, MEASURES, score_table
from wsss_core.report.score_text import notes_in_text, sources_in_text
from wsss_core.report.seed_curves import class_scores, miou_over_thresholds, precision_over_recall, seed_curves
from wsss_core.report.seed_spread import Spreads, seed_spreads
from wsss_core.report.training_curves import training_curves

SMALL_CHART = (320, 210)
"""Width and height of the chart of one training."""


@dataclass(frozen=True)
class Run:
    """What a report needs to know about a run."""

    dataset: str
    """The data set's name."""
    folder: Path
    """``results/<dataset>``."""
    experiments: Mapping[str, Mapping[str, Any]]
    """See :func:`wsss_core.report.score_table.score_table`."""
    stages: Mapping[str, Mapping[str, str]]
    """By experiment and stage, the artifact's directory."""
    artifacts: Sequence[Mapping[str, Any]]
    """All artifacts, each with ``stage``, ``variant``, ``directory`` and, by role, the directories ``upstream``."""
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
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """See :func:`wsss_core.plan.comparison.described_comparison`."""


def make_report(run: Run, report_html: Path | str) -> None:
    """Write the page. A gallery too large for it goes on separate pages next to it, ``gallery-1.html`` and so on.

    Args:
        run: what was run, and where its artifacts and scores are.
        report_html: the file to write; it comes last.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    report_html = Path(report_html)
    gallery = draw_gallery(run.pictured)
    table = score_table(run.experiments)
    spreads = seed_spreads(run.experiments, run.compared)
    classifiers = scored_classifiers(run.classifiers)
    parts: dict[str, Any] = {
        "title": run.dataset,
        "gallery_pages": _write_gallery(run.dataset, gallery, report_html.parent),
        **_opening(run, table, spreads, gallery),
        **_scores(run, table, spreads, report_html.parent),
        **_seed_charts(run),
        **_classifiers(classifiers),
        "corrections": corrections(run.corrections),
        **_gallery_cards(gallery),
        "climb_scores": step_charts(run.climb_scores),
        "climbs": draw_climbs(run.climbs, run.pictured.masks_csv),
        "erasings": draw_erasings(run.erasings),
        "trainings": _trainings(run, classifiers),
        **_costs(run),
        "experiments": [{"name": name, "look": series_class(n)} for n, name in enumerate(run.experiments)],
        "graph": artifact_graph(run.artifacts, run.stages),
        "artifacts": run.artifacts,
        "settings": run.settings,
    }
    write_page(report_html, "report.html", **parts)


def _opening(run: Run, table: pandas.DataFrame, spreads: Spreads, gallery: Gallery) -> dict[str, Any]:
    """What the first lines say, and the pictures below them: the best experiment's, or one's that goes furthest."""
    opening = make_opening(Measured(table, spreads, run.compared, gallery.scores, run.stages))
    maps = run.pictured.maps
    furthest = [name for name in maps if "predictions" in maps[name]]
    if opening is not None:
        name, split = opening.best.name, split_of(opening.figure)
    else:
        name, split = next(iter(furthest or maps)), "val" if furthest else "train"
    examples = draw_examples(run.pictured, gallery.scores, name, split)
    return {"goals": GOALS, "draws": DRAWS, "opening": opening, "examples": examples, "example_of": name}


def _scores(run: Run, table: pandas.DataFrame, spreads: Spreads, folder: Path) -> dict[str, Any]:
    """The table of scores, and what is written around it."""
    return {
        "scored": not table[list(FIGURES)].isna().all(axis=None),
        "figures": FIGURES,
        "measures": MEASURES,
        "conditions": CONDITIONS,
        "rows": table_rows(table, spreads),
        "spread": bool(spreads),
        "notes": notes_in_text(table),
        "sources": sources_in_text(table),
        "image_tables": _image_tables(run, folder),
        "class_scores": class_scores(run.experiments),
    }


def _seed_charts(run: Run) -> dict[str, Any]:
    curves = seed_curves(run.experiments)
    return {
        "curves": curves,
        "looks": [series_class(curve.number) for curve in curves],
        "miou_chart": line_chart(
            "mIoU of the seed over the threshold",
            miou_over_thresholds(curves),
            "threshold: below it is background",
            "mIoU of the seed, %",
        ),
        "precision_chart": line_chart(
            "Precision over recall of the seed", precision_over_recall(curves), "recall, %", "precision, %"
        ),
    }


def _classifiers(classifiers: Sequence[ScoredClassifier]) -> dict[str, Any]:
    return {
        "classifiers": classifiers,
        "classifier_figures": CLASSIFIER_FIGURES,
        "classifier_note": NOTE,
        "warnings": [verdict_in_text(scored.verdict) for scored in classifiers if scored.verdict.is_warning],
    }


def _gallery_cards(gallery: Gallery) -> dict[str, Any]:
    """The first page's images; the report itself shows them if there is no other page."""
    cards = gallery.pages[0] if gallery.pages else []
    return {"gallery": gallery, "cards": cards, "shown": sum(map(len, gallery.pages))}


def _trainings(run: Run, classifiers: Sequence[ScoredClassifier]) -> list[dict[str, Any]]:
    """The curve of each training, its chart, and the scores of the classifier that it made."""
    by_directory = {str(Path(c["scores"]).parent): s for c, s in zip(run.classifiers, classifiers, strict=True)}
    return [
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
        for training in training_curves(run.artifacts)
    ]


def _costs(run: Run) -> dict[str, Any]:
    jobs = job_costs(run.folder, run.artifacts)
    return {
        "costs": costs_of_rules(jobs),
        "job_costs": sorted(jobs, key=lambda job: -job.seconds),
        "experiment_costs": costs_of_experiments(jobs, run.artifacts, run.stages),
    }


def _image_tables(run: Run, folder: Path) -> dict[str, dict[str, str]]:
    """The tables of each image's scores, by experiment and figure's heading, as a page in ``folder`` links to them."""
    tables: dict[str, dict[str, str]] = {}
    for name, directories in run.stages.items():
        for stage, directory in directories.items():
            row = STAGES.get(stage)  # the threshold of a seed has none
            if row is None or row.figure is None or row.images_file is None:
                continue
            table = Path(directory, row.images_file)
            if table.is_file():
                tables.setdefault(name, {})[row.figure[1]] = os.path.relpath(table, folder)
    return tables


def _write_gallery(title: str, gallery: Gallery, folder: Path) -> list[str]:
    """Write the gallery's pages if it has several, and delete those of an earlier run. Returns the files' names."""
    names = [f"gallery-{number}.html" for number in range(1, len(gallery.pages) + 1)] if len(gallery.pages) > 1 else []
    for file in folder.glob("gallery-*.html"):
        if file.name not in names:
            file.unlink()
    shown = sum(map(len, gallery.pages))
    for number, (name, cards) in enumerate(zip(names, gallery.pages, strict=False), start=1):
        parts = {"number": number, "pages": names, "gallery": gallery, "cards": cards, "shown": shown}
        write_page(folder / name, "gallery_page.html", title=title, **parts)
    return names
