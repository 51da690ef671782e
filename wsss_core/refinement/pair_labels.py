"""Which pairs of neighbouring cells belong together, by their labels: what AffinityNet and IRN learn from."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wsss_core.datasets.palette import IGNORED
from wsss_core.refinement.affinity_pairs import Offset, inner_window, shift_window


class PairLabels(NamedTuple):
    """Three kinds of pairs, bool tensors of one shape; a pair is of one kind at most."""

    background: Tensor
    """Both cells are background."""
    foreground: Tensor
    """Both cells are of the same class."""
    negative: Tensor
    """The cells have different labels."""


def pair_labels(labels: Tensor, offsets: Sequence[Offset], radius: int, label_limit: int = IGNORED) -> PairLabels:
    """Sort pairs by their labels.

    As in the authors' code (psa ``tool/aff_utils``, irn ``voc12/dataloader``), first cells too near
    the border for all of their pairs to exist are left out.

    Args:
        labels: int (B, h, w): 0 background, 1 and up the classes.
        offsets: the P offsets from a pair's first cell to its second, all closer than ``radius``.
        radius: in cells.
        label_limit: labels from here up, 255 always among them, stand for no label.

    Returns:
        Each (B, P, h - radius + 1, w - 2 radius + 2); without first cells if the grid is too small.
    """
    window = inner_window(radius, *labels.shape[1:])
    firsts = labels[:, None][(..., *window)]
    seconds = torch.stack([labels[(..., *shift_window(window, offset))] for offset in offsets], dim=1)
    same = firsts == seconds
    limit = min(label_limit, IGNORED)
    labelled = (firsts < limit) & (seconds < limit)
    return PairLabels(same & (firsts == 0), same & labelled & (firsts > 0), labelled & ~same)
