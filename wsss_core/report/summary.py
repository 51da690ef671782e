"""The tables that say what each step of each experiment was worth, and under which conditions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from wsss_core.atomic import atomic_path, write_text
from wsss_core.config.background import multiple_of
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.score_conditions import BEST_ON_TRAIN, CONDITIONS

FIGURES = {
    "seed": "seed",
    "seed_oracle": "seed at its best threshold*",
    "refined_seed": "+ CRF",
    "walk": "walk",
    "pseudo_labels": "pseudo labels",
    "val": "DeepLab, val",
}
"""What is scored: columns with the mIoU, and their headings in ``summary.md``."""
MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "pixel_accuracy": "pixel accuracy",
    "boundary_f": "boundary F",
}
"""Further scores of each figure, and their headings; columns ``<figure>_<measure>``."""
PUBLISHED = ("seed", "pseudo_labels", "val", "test")
"""What papers report; columns ``<figure>_published``."""
COLUMNS = (
    *("experiment", "labels", *FIGURES),
    *(f"{figure}_published" for figure in PUBLISHED),
    "published_source",
    *(f"{figure}_{more}" for figure in FIGURES for more in (*MEASURES, *CONDITIONS)),
)
"""Columns of ``summary.csv``; all scores in percent. The last ones say of each figure what it was scored under."""
ORACLE = "†"
"""Marks experiments that use masks to choose a threshold."""


def summarise(
    dataset: str, experiments: Mapping[str, Mapping[str, Any]], table_csv: Path, text_markdown: Path
) -> pandas.DataFrame:
    """Write a row per experiment: scores in percent after each step, beside what papers report for it.

    Seed, CRF-refined seed, walked maps and pseudo labels are scored on the training split, the
    segmenter's predictions on the validation split.

    Args:
        dataset: the data set's name.
        experiments: by name: ``labels`` (``pseudo`` or ``masks``), ``seed_threshold`` and
            ``walk_threshold`` (each None, or ``fixed`` or the ``file`` it was chosen in, ``source``,
            and ``times``, which it is multiplied by), ``published`` (None, or a ``config.root.Published``
            as JSON values), and ``scores``, the score files by what they score. An experiment that stops
            early, or a data set without masks, has fewer.
        table_csv: where the table goes for programs.
        text_markdown: where it goes for people.

    Returns:
        The table, with the columns of ``COLUMNS``.
    """
    rows = []
    for name, experiment in experiments.items():
        scores = experiment["scores"]
        row: dict[str, Any] = {"experiment": name, "labels": experiment["labels"]}
        if "seed" in scores:
            row |= _seed(pandas.read_csv(scores["seed"]), experiment["seed_threshold"])
        if "walk" in scores:
            row |= _walk(pandas.read_csv(scores["walk"]), experiment["walk_threshold"])
        for what in ("refined_seed", "pseudo_labels", "val"):
            if what in scores:
                row |= _figure(what, pandas.read_csv(scores[what]).iloc[0])
        if published := experiment["published"]:
            row |= {f"{what}_published": published[what] for what in PUBLISHED}
            row["published_source"] = published["source"]
        rows.append(row)
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    with atomic_path(table_csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    write_text(text_markdown, _markdown(dataset, table))
    return table


def _figure(what: str, scored: pandas.Series, background: str | None = None) -> dict[str, Any]:
    """The columns of one figure, from its row of a table of scores; ``background`` stands for what is said there."""
    columns = {what: 100 * float(scored["miou"])}
    columns |= {f"{what}_{measure}": 100 * float(scored[measure]) for measure in MEASURES if measure in scored}
    said: dict[str, Any] = {f"{what}_{name}": scored[name] for name in CONDITIONS if name in scored}
    if background is not None:
        said[f"{what}_background"] = background
    return columns | said


def _threshold(described: Mapping[str, Any]) -> tuple[float, str]:
    """The number behind a description of a threshold, and both in words."""
    chosen = described["fixed"] if described["file"] is None else read_threshold(described["file"])["threshold"]
    times, words = described.get("times", 1), f"{chosen:.2f} ({described['source']})"
    threshold = multiple_of(times, float(chosen))
    return threshold, words if times == 1 else f"{threshold:.2f} = {times:g} x the seed's {words}"


def _at(curve: pandas.DataFrame, threshold: float) -> pandas.Series:
    """The row of the nearest threshold."""
    return curve.iloc[int((curve["threshold"] - threshold).abs().argmin())]


def _seed(curve: pandas.DataFrame, described: Mapping[str, Any]) -> dict[str, Any]:
    """The seed's scores at its threshold and, as an oracle, at the best one; none without masks."""
    if curve["miou"].isna().all():
        return {}
    threshold, words = _threshold(described)
    curve = curve[curve["threshold"] > 0]  # as thresholds are chosen
    best = curve.iloc[int(curve["miou"].argmax())]
    return {
        **_figure("seed", _at(curve, threshold), words),
        **_figure("seed_oracle", best, f"{best['threshold']:.2f} (the best one, by the masks)"),
    }


def _walk(curve: pandas.DataFrame, described: Mapping[str, Any] | None) -> dict[str, Any]:
    """The scores of walked maps: at the pseudo labels' threshold, or with the background that walked along."""
    if curve["threshold"].isna().all():
        return _figure("walk", curve.iloc[0])
    if described is None:
        return {}
    threshold, words = _threshold(described)
    return _figure("walk", _at(curve, threshold), words)


def _markdown(dataset: str, table: pandas.DataFrame) -> str:
    """The tables with one decimal, and what their figures mean."""
    rows = [row for _, row in table.iterrows()]
    cells = [["experiment", "trained on", *FIGURES.values()]]
    for row in rows:
        figures = [_percent(row[what]) + _published(row, what) for what in FIGURES]
        cells.append([f"{row['experiment']}{_mark(row)}", row["labels"], *figures])
    lines = [f"# {dataset}: what each step was worth (mIoU, %)", "", *_table(cells), "", *_sources(rows)]
    if table[list(FIGURES)].isna().all(axis=None):
        return "\n".join([*lines, "The data set has no masks: there is nothing to score against."]) + "\n"
    lines += [*_notes(rows), "", "## Every figure, and what it was scored under", ""]
    return "\n".join([*lines, *_table(_all_figures(rows))]) + "\n"


def _all_figures(rows: Sequence[pandas.Series]) -> list[list[str]]:
    """A line for each figure of each experiment, after a line of headings."""
    cells = [["experiment", "figure", "mIoU", "published", *MEASURES.values(), *CONDITIONS.values()]]
    for row in rows:
        for what, heading in FIGURES.items():
            if pandas.isna(row[what]):
                continue
            published = _percent(row.get(f"{what}_published"))
            measures = [_percent(row[f"{what}_{measure}"]) for measure in MEASURES]
            said = [row[f"{what}_{name}"] for name in CONDITIONS]
            told = ["–" if pandas.isna(value) else str(value) for value in said]
            cells.append([row["experiment"], heading, _percent(row[what]), published, *measures, *told])
    return cells


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, its first line the headings."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _percent(value: Any) -> str:
    return "–" if pandas.isna(value) else f"{value:.1f}"


def _published(row: pandas.Series, what: str) -> str:
    value = row.get(f"{what}_published")
    return "" if pandas.isna(value) else f" [{value:.1f}]"


def _sources(rows: Sequence[pandas.Series]) -> Iterator[str]:
    """Who published the figures in brackets."""
    for row in rows:
        if not pandas.isna(row["published_source"]):
            test = row["test_published"]
            served = "" if pandas.isna(test) else f"; VOC test {test:.1f}, by its server"
            yield f"[ ] Published for {row['experiment']}: {row['published_source']}{served}."


def _mark(row: pandas.Series) -> str:
    """What stands behind the name of an experiment that uses an oracle."""
    return f" {ORACLE}" if any(f"({BEST_ON_TRAIN})" in str(row[f"{what}_background"]) for what in FIGURES) else ""


def _notes(rows: Sequence[pandas.Series]) -> list[str]:
    notes = [
        "Seed, + CRF, walk (without a CRF after it) and pseudo labels: training split. DeepLab: validation split.",
        "*Best on train: chosen with the masks, an oracle.",
    ]
    if any(map(_mark, rows)):
        notes.append(f"{ORACLE} A threshold of this experiment was chosen so (see below): not weak supervision alone.")
    if any(row["labels"] == "masks" for row in rows):
        notes.append("Trained on masks: full supervision, the upper bound of the same segmenter; not weak supervision.")
    return notes
