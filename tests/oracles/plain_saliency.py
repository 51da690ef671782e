"""Scores from class maps and a saliency map, pixel by pixel, as SeeNet's paper describes them."""

from collections.abc import Sequence


def plain_label(saliency: float, attention: Sequence[float], weight: float) -> int:
    """The label of one pixel: 0 for the background, or k + 1 for the k-th class; of equal scores the first.

    Args:
        saliency: from 0 to 1.
        attention: each class's map there, from 0 to 1.
        weight: of the attention in the harmonic mean.
    """
    scores = plain_scores(saliency, attention, weight)
    return scores.index(max(scores))


def plain_scores(saliency: float, attention: Sequence[float], weight: float) -> list[float]:
    """The scores of the background and of each class."""
    scores = [1 - saliency]
    for value in attention:
        if value == 0 or saliency == 0:
            scores.append(0.0)
        else:
            scores.append((weight + 1) / (weight / value + 1 / saliency))
    return scores
