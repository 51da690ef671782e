"""How well the classifiers recognise the classes of validation images, for the summary and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsss_core.datasets.table_file import read_table
from wsss_core.errors import UserError
from wsss_core.evaluation.classifier_verdict import Verdict, read_verdict

FIGURES = {
    "average_precision": "mAP",
    "chance": "mAP by chance",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
"""Columns of a classifier's scores, and the headings of their means."""
NOTE = (
    "On the validation images, from their image-level labels: no mask is needed. mAP is the mean of the classes' "
    "average precision (AP); by chance is what shuffled labels reach. F1, precision and recall are means over the "
    "classes at a probability of one half. Nothing that is trained or drawn depends on these figures."
)


@dataclass(frozen=True)
class ScoredClassifier:
    """The scores of one classifier, in percent; None where the images do not suffice."""

    variant: str
    verdict: Verdict
    mean: Mapping[str, float | None]
    """By key of ``FIGURES``, the mean over the classes."""
    classes: Mapping[str, Mapping[str, float | None]]
    """The same by class."""
    shown_by: Mapping[str, int]
    """By class, the validation images that show it."""


def scored_classifiers(classifiers: Sequence[Mapping[str, str]]) -> list[ScoredClassifier]:
    """Read the scores of classifiers.

    Args:
        classifiers: each with its ``variant`` and the files of its ``scores`` and its ``verdict``.

    Raises:
        UserError: a file is missing or damaged.
    """
    return [_scored(classifier) for classifier in classifiers]


def _scored(classifier: Mapping[str, str]) -> ScoredClassifier:
    try:
        heading, *entries = read_table(classifier["scores"])
        mean, *rows = (dict(zip(heading, row, strict=True)) for row in entries)
        return ScoredClassifier(
            classifier["variant"],
            read_verdict(classifier["verdict"]),
            _percent(mean),
            {row["class"]: _percent(row) for row in rows},
            {row["class"]: int(row["positive_images"]) for row in rows},
        )
    except (ValueError, KeyError) as error:
        raise UserError(f"{classifier['scores']}: has no scores ({error}); delete it and make it again") from None


def _percent(row: Mapping[str, str]) -> dict[str, float | None]:
    shares = {figure: float(row[figure]) if row[figure] else None for figure in FIGURES}
    if wrong := [figure for figure, share in shares.items() if share is not None and not 0 <= share <= 1]:
        raise ValueError(f"'{wrong[0]}' is not in [0, 1]")
    return {figure: None if share is None else 100 * share for figure, share in shares.items()}
