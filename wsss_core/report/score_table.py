"""The scores of experiments in one table: what each step was worth, and under which conditions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas

from wsss_core.config.background import multiple_of
from wsss_core.config.stages import STAGES
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.evaluation.score_file import read_scores
from wsss_core.files.atomic import atomic_path
from wsss_core.plan.score_conditions import CONDITIONS
from wsss_core.report.classifier_scores import scored_classifiers

_SCORED = dict(stage.figure for stage in STAGES.values() if stage.figure)
FIGURES = {"seed": _SCORED["seed"], "seed_oracle": "seed at its best threshold*", **_SCORED}
"""What is scored: columns with the mIoU, and their headings."""
MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "pixel_accuracy": "pixel accuracy",
    "boundary_f": "boundary F",
}
"""Further scores of each figure, and their headings; columns ``<figure>_<measure>``."""
PUBLISHED = ("seed", "pseudo_labels", "val", "test")
"""What papers report; columns ``<figure>_published``."""
CLASSIFIER = ("classifier", "classifier_map", "classifier_map_by_chance", "classifier_f1", "classifier_learned")
"""Columns about the classifier that the maps are drawn from, on the validation images; scores in percent. The last one
says what it has learned: ``nothing``, ``little``, ``enough`` or ``unknown``."""
COLUMNS = (
    *("experiment", "labels", *FIGURES),
    *(f"{figure}_published" for figure in PUBLISHED),
    "published_source",
    "guessed",
    *(f"{figure}_{more}" for figure in FIGURES for more in (*MEASURES, *CONDITIONS)),
    *CLASSIFIER,
)
"""Columns of :func:`score_table`; all scores in percent. The conditions of each figure come before the classifier's
columns."""


def score_table(experiments: Mapping[str, Mapping[str, Any]]) -> pandas.DataFrame:
    """A row per experiment: scores in percent after each step, next to what papers report for it.

    Seed, CRF-refined seed, walked maps and pseudo labels are scored on the training split, the segmenter's predictions
    on the validation split.

    Args:
        experiments: by name: ``labels`` (``pseudo`` or ``masks``); ``seed_threshold`` and ``walk_threshold`` (each
            None, or ``fixed`` or the ``file`` it was chosen in, ``source``, and ``times``, which it is multiplied by);
            ``published`` (None, or a ``config.root.Published`` as JSON values); ``guessed`` (settings that nobody has
            published, in words); and ``scores``, the score files by what they score, of which an experiment that stops
            early, or a data set without masks, has fewer. An experiment with class maps has ``classifier``: see
            :func:`wsss_core.report.classifier_scores.scored_classifiers`.

    Returns:
        The table, with the columns of ``COLUMNS``.
    """
    rows = []
    for name, experiment in experiments.items():
        scores = experiment["scores"]
        row: dict[str, Any] = {"experiment": name, "labels": experiment["labels"]}
        if "seed" in scores:
            row |= _seed(read_scores(scores["seed"], thresholds=True), experiment["seed_threshold"])
        if "walk" in scores:
            row |= _walk(read_scores(scores["walk"], thresholds=True), experiment["walk_threshold"])
        for what in ("refined_seed", "pseudo_labels", "val"):
            if what in scores:
                row |= _figure(what, read_scores(scores[what]).iloc[0])
        if published := experiment["published"]:
            row |= {f"{what}_published": published[what] for what in PUBLISHED}
            row["published_source"] = published["source"]
        if guessed := experiment.get("guessed"):
            row["guessed"] = "; ".join(guessed)
        if experiment.get("classifier"):
            row |= _classifier(experiment["classifier"])
        rows.append(row)
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def write_table(table: pandas.DataFrame, table_csv: Path) -> None:
    """Write a table of scores as CSV."""
    with atomic_path(table_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")


def _figure(what: str, scored: pandas.Series, background: str | None = None) -> dict[str, Any]:
    """The columns of one figure, from its row in a table of scores; ``background`` replaces the condition there."""
    columns = {what: 100 * float(scored["miou"])}
    columns |= {f"{what}_{measure}": 100 * float(scored[measure]) for measure in MEASURES if measure in scored}
    said: dict[str, Any] = {f"{what}_{name}": scored[name] for name in CONDITIONS if name in scored}
    if background is not None:
        said[f"{what}_background"] = background
    return columns | said


def _classifier(described: Mapping[str, str]) -> dict[str, Any]:
    """The columns about the classifier."""
    (scored,) = scored_classifiers([described])
    figures = (scored.mean["average_precision"], scored.mean["chance"], scored.mean["f1"])
    return dict(zip(CLASSIFIER, (scored.variant, *figures, scored.verdict.learned), strict=True))


def threshold_in_words(described: Mapping[str, Any]) -> tuple[float, str]:
    """The number behind a description of a threshold, and both in words."""
    chosen = described["fixed"] if described["file"] is None else read_threshold(described["file"])["threshold"]
    times, words = described.get("times", 1), f"{chosen:.2f} ({described['source']})"
    threshold = multiple_of(times, float(chosen))
    return threshold, words if times == 1 else f"{threshold:.2f} = {times:g} x the seed's {words}"


def nearest_row(curve: pandas.DataFrame, threshold: float) -> pandas.Series:
    """The row of a table of scores whose threshold is nearest."""
    return curve.iloc[int((curve["threshold"] - threshold).abs().argmin())]


def _seed(curve: pandas.DataFrame, described: Mapping[str, Any]) -> dict[str, Any]:
    """The seed's scores at its threshold and, as an oracle, at the best one; none without masks."""
    if curve["miou"].isna().all():
        return {}
    threshold, words = threshold_in_words(described)
    curve = curve[curve["threshold"] > 0]  # as thresholds are chosen
    best = curve.iloc[int(curve["miou"].argmax())]
    return {
        **_figure("seed", nearest_row(curve, threshold), words),
        **_figure("seed_oracle", best, f"{best['threshold']:.2f} (the best one, by the masks)"),
    }


def _walk(curve: pandas.DataFrame, described: Mapping[str, Any] | None) -> dict[str, Any]:
    """The scores of walked maps, at the pseudo labels' threshold or with the background that walked along."""
    if curve["threshold"].isna().all():
        return _figure("walk", curve.iloc[0])
    if described is None:
        return {}
    threshold, words = threshold_in_words(described)
    return _figure("walk", nearest_row(curve, threshold), words)
