"""Which pairs of neighbouring cells belong together according to their labels, for training AffinityNet and IRN."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wsss_core.datasets.palette import IGNORED
from wsss_core.refinement.affinity_pairs import Offset, inner_window, pair_windows, shift_window
from wsss_core.training.distributed import mean_over_processes

EPSILON = 1e-5
"""Added in logarithms and to counts, as in AffinityNet's and IRN's code."""


class PairLabels(NamedTuple):
    """Three kinds of pairs, bool tensors of one shape; each pair has at most one kind."""

    background: Tensor
    """Both cells are background."""
    foreground: Tensor
    """Both cells are of the same class."""
    negative: Tensor
    """The cells have different labels."""


def pair_labels(
    labels: Tensor, offsets: Sequence[Offset], radius: int, label_limit: int = IGNORED, border_pairs: bool = False
) -> PairLabels:
    """Classify pairs by their labels.

    As in the authors' code (psa ``voc12/data.ExtractAffinityLabelInRadius``, irn ``voc12/dataloader``), first cells so
    near the border that some of their pairs do not exist are left out, unless ``border_pairs``.

    Args:
        labels: int (B, h, w), 0 to 255: 0 background, 1 and up the classes.
        offsets: the P offsets from a pair's first cell to its second, all closer than ``radius``.
        radius: in cells.
        label_limit: labels of at least this (and always 255) mean no label.
        border_pairs: classify all pairs within the grid.

    Returns:
        Each (B, P, h', w'), by first cell: the cells of ``inner_window``, h - radius + 1 times w - 2 radius + 2, none
        if the grid is too small. With ``border_pairs`` all h times w cells; pairs that leave the grid have no kind.
    """
    labels = labels.to(torch.uint8)  # small, because there are hundreds of pairs for each label
    height, width = labels.shape[1:]
    window = inner_window(radius, height, width)
    if border_pairs:
        firsts = labels[:, None]
        seconds = labels.new_full((len(labels), len(offsets), height, width), IGNORED)
        for p, offset in enumerate(offsets):
            first, second = pair_windows(offset, height, width)
            seconds[(slice(None), p, *first)] = labels[(..., *second)]
    else:
        firsts = labels[:, None][(..., *window)]
        seconds = torch.stack([labels[(..., *shift_window(window, offset))] for offset in offsets], dim=1)
    same = firsts == seconds
    limit = min(label_limit, IGNORED)
    labelled = (firsts < limit) & (seconds < limit)
    return PairLabels(same & (firsts == 0), same & labelled & (firsts > 0), labelled & ~same)


class PairLosses(NamedTuple):
    """Mean cross-entropies, scalars; 0 for a kind without pairs."""

    background: Tensor
    foreground: Tensor
    negative: Tensor


def pair_losses(affinities: Tensor, pairs: PairLabels) -> PairLosses:
    """Cross-entropies of affinities: 1 is right for pairs with the same label, 0 for negative pairs.

    Each kind is averaged separately, because their numbers differ much (Ahn & Kwak, CVPR 2018, equations 6 to 8), and
    over the pairs of all processes.

    Args:
        affinities: float (B, P, h, w), values in [0, 1].
        pairs: (B, P, h, w) each.
    """
    attraction = -torch.log(affinities + EPSILON)
    repulsion = -torch.log(1 + EPSILON - affinities)
    return PairLosses(
        _mean_over(attraction, pairs.background),
        _mean_over(attraction, pairs.foreground),
        _mean_over(repulsion, pairs.negative),
    )


def _mean_over(values: Tensor, kind: Tensor) -> Tensor:
    return (values * kind).sum() / (mean_over_processes(kind.sum(dtype=values.dtype)) + EPSILON)
