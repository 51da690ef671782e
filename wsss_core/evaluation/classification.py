"""How well logits predict the classes of images: average precision, F1, and what chance would reach."""

from dataclasses import dataclass, replace
from math import lgamma, nan
from typing import Any

import numpy as np

SHUFFLES = 999
"""Shuffles of the labels for estimating chance."""
FEWEST_SHUFFLES = 199
"""With many images this many are enough, because chance varies little."""
SHUFFLED_ENTRIES = 10**8
"""Labels (images times classes) that all shuffles together may move, which takes some seconds."""
SURE = 0.005
"""A classifier is better than chance if at most one in two hundred shuffles reaches its mAP."""
SURE_OF_CLASS = 0.05
"""The same for a single class: with few images that show it, one in two hundred would be unreachable."""


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class, or their means; NaN if the images do not determine them."""

    average_precision: float
    """NaN for a class that no image or every image shows."""
    chance: float
    """The mean of the average precision over shuffles of the labels."""
    f1: float
    """Logits of at least 0 count as found; NaN for a class that no image shows."""
    precision: float
    """NaN for a class that is found in no image."""
    recall: float
    """NaN for a class that no image shows."""
    positive_images: int
    """Images that show the class; for the means, images that show any class."""
    at_chance: bool
    """Whether the class is found no better than by chance. False if too few images show it to judge."""


@dataclass(frozen=True)
class Classification:
    """All figures of a classifier."""

    images: int
    classes: tuple[ClassFigures, ...]
    """In class order."""
    mean: ClassFigures
    """Means over the classes that have the figure; ``average_precision`` is the mAP."""
    chance_limit: float
    """199 of 200 shuffles have a lower mAP."""
    can_be_judged: bool
    """Whether there are enough different images to distinguish a perfect classifier from chance."""


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision of each class: the mean, over the images that show it, of the precision at their score.

    This is the area under the step function of precision over recall (VOC since 2010, scikit-learn); images with equal
    scores share one threshold.

    Args:
        scores: (N, K), higher for images that more likely show the class.
        labels: (N, K) bool.

    Returns:
        (K,); NaN for a class that no image shows.
    """
    return _Ranking(scores).average_precision(labels)


def classify_figures(logits: np.ndarray, labels: np.ndarray, seed: int = 0) -> Classification:
    """Score logits, and estimate the scores of chance by shuffling the labels.

    Each shuffle moves all labels of an image together, so that the frequency of classes and of their combinations is
    kept. So the estimate accounts for rare classes and for few images.

    Args:
        logits: (N, K); values that are not finite count as 0.
        labels: (N, K) bool.
        seed: of the shuffles.
    """
    logits = np.nan_to_num(logits, nan=0.0, posinf=0.0, neginf=0.0)
    images, positives = len(labels), labels.sum(axis=0)
    judged = np.flatnonzero((positives > 0) & (positives < images))
    ranking = _Ranking(logits[:, judged])
    reached = ranking.average_precision(labels[:, judged])  # (J,)
    shuffled = _after_shuffles(ranking, labels[:, judged], seed)  # (S, J)
    predicted = logits >= 0
    hits, predictions = (predicted & labels).sum(axis=0), predicted.sum(axis=0)
    columns = {
        "average_precision": _of_all(reached, judged, len(positives)),
        "chance": _of_all(shuffled.mean(axis=0), judged, len(positives)),
        "f1": _ratio(2 * hits, positives + predictions, positives > 0),
        "precision": _ratio(hits, predictions, predictions > 0),
        "recall": _ratio(hits, positives, positives > 0),
    }
    at_chance = {
        k
        for k, share in zip(judged, _share_above(shuffled, reached), strict=True)
        if share > SURE_OF_CLASS and _probability_of_the_same_labels(labels[:, [k]]) <= SURE_OF_CLASS
    }
    classes = tuple(
        ClassFigures(
            **{name: float(column[k]) for name, column in columns.items()},
            positive_images=int(positives[k]),
            at_chance=k in at_chance,
        )
        for k in range(len(positives))
    )
    means = {name: _mean(column) for name, column in columns.items()}
    shown = int(labels.any(axis=1).sum())
    mean = ClassFigures(**means, positive_images=shown, at_chance=False)
    if not len(judged):
        return Classification(images, classes, mean, nan, False)
    maps = shuffled.mean(axis=1)  # (S,)
    enough = _probability_of_the_same_labels(labels[:, judged]) <= SURE
    near = bool(_share_above(maps, means["average_precision"]) > SURE)
    mean = replace(mean, at_chance=enough and near)
    return Classification(images, classes, mean, float(np.quantile(maps, 1 - SURE)), enough)


class _Ranking:
    """The order of the images by each class's scores, for scoring many shuffles of the labels."""

    def __init__(self, scores: np.ndarray) -> None:
        self.order = np.argsort(-scores, axis=0, kind="stable")  # (N, K)
        ranked = np.take_along_axis(scores, self.order, axis=0)
        last = np.ones(scores.shape, dtype=bool)  # whether it is the last image with its score
        last[:-1] = ranked[1:] != ranked[:-1]
        places = np.where(last, np.arange(len(scores))[:, None], len(scores))
        self.end = np.minimum.accumulate(places[::-1], axis=0)[::-1]  # (N, K), where each image's equals end

    def average_precision(self, labels: np.ndarray) -> np.ndarray:
        ranked = np.take_along_axis(labels, self.order, axis=0)
        hits = np.cumsum(ranked, axis=0)
        precision = np.take_along_axis(hits, self.end, axis=0) / (self.end + 1)
        positives = ranked.sum(axis=0)
        return _ratio((precision * ranked).sum(axis=0), positives, positives > 0)


def _after_shuffles(ranking: _Ranking, labels: np.ndarray, seed: int) -> np.ndarray:
    """(S, K) average precisions with the rows of the labels shuffled."""
    shuffles = min(SHUFFLES, max(FEWEST_SHUFFLES, SHUFFLED_ENTRIES // max(1, labels.size)))
    random = np.random.default_rng(seed)
    return np.array([ranking.average_precision(random.permutation(labels)) for _ in range(shuffles)])


def _share_above(shuffled: np.ndarray, reached: np.ndarray | float) -> Any:
    """The share of shuffles (S, ...) with at least the score that was reached (...), which counts as one of them."""
    return (1 + (shuffled >= reached - 1e-9).sum(axis=0)) / (1 + len(shuffled))


def _of_all(values: np.ndarray, judged: np.ndarray, classes: int) -> np.ndarray:
    """Values of some classes, NaN for the others."""
    column = np.full(classes, nan)
    column[judged] = values
    return column


def _probability_of_the_same_labels(labels: np.ndarray) -> float:
    """The probability that a shuffle of the rows changes nothing."""
    _, alike = np.unique(labels, axis=0, return_counts=True)
    return float(np.exp(sum(lgamma(n + 1) for n in alike) - lgamma(len(labels) + 1)))


def _ratio(above: np.ndarray, below: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), nan), where=where)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else nan
