"""IRN's losses: boundaries separate labels, and displacements of a class's cells meet (Ahn et al., CVPR 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wsss_core.jobs.devices import sent_to
from wsss_core.refinement.affinity_pairs import Offset, inner_window, shift_window
from wsss_core.refinement.boundary_paths import Path, boundary_affinities
from wsss_core.refinement.pair_labels import EPSILON, PairLabels, pair_losses
from wsss_core.training.distributed import mean_over_processes


def irn_losses(
    boundary_logits: Tensor, displacements: Tensor | None, pairs: PairLabels, paths: Sequence[Path], radius: int
) -> dict[str, Tensor]:
    """The losses, and their sum as in irn ``step/train_irn.py``.

    Args:
        boundary_logits: (B, h, w).
        displacements: (B, 2, h, w), cells down and right; None if they are not trained.
        pairs: as from ``pair_labels``, for the paths' offsets: (B, P, h', w') each.
        paths: the P paths, as from ``boundary_paths``.
        radius: of ``pairs`` and ``paths``, in cells; 10 in IRN.

    Returns:
        Scalars: ``positive`` (the mean of the cross-entropies of background pairs and of pairs of one class),
        ``negative``, with displacements ``displacement_foreground`` and ``displacement_background`` (mean absolute
        errors), and ``loss``, half the sum of these. A kind without pairs adds 0.
    """
    window = inner_window(radius, *boundary_logits.shape[1:])
    affinities = boundary_affinities(torch.sigmoid(boundary_logits), paths)[(..., *window)]
    found = pair_losses(affinities, pairs)
    losses = {"positive": found.background / 2 + found.foreground / 2, "negative": found.negative}
    if displacements is not None:
        towards, level = displacement_losses(displacements, pairs, [path[0] for path in paths], radius)
        losses |= {"displacement_foreground": towards, "displacement_background": level}
    return {"loss": torch.stack(list(losses.values())).sum() / 2, **losses}


def displacement_losses(
    displacements: Tensor, pairs: PairLabels, offsets: Sequence[Offset], radius: int
) -> tuple[Tensor, Tensor]:
    """The errors of the displacements of pairs.

    Two cells of a class should point to the same place, so that their displacements differ by the offset between them.
    Displacements of two background cells should be equal.

    Args:
        displacements: (B, 2, h, w), cells down and right.
        pairs: as from ``pair_labels``, (B, P, h', w') each.
        offsets: the P offsets from a pair's first cell to its second.
        radius: in cells.

    Returns:
        Mean absolute errors over both coordinates: of pairs of one class, and of background pairs.
    """
    window = inner_window(radius, *displacements.shape[2:])
    firsts = displacements[(..., *window)]
    targets = sent_to(displacements, torch.tensor(offsets, dtype=displacements.dtype))[:, :, None, None]
    foreground = background = displacements.new_zeros(())
    for p, offset in enumerate(offsets):  # one by one, because all differences at once take much memory
        difference = firsts - displacements[(..., *shift_window(window, offset))]  # (B, 2, h', w')
        foreground = foreground + ((difference - targets[p]).abs() * pairs.foreground[:, p : p + 1]).sum()
        background = background + (difference.abs() * pairs.background[:, p : p + 1]).sum()
    return foreground / _twice(pairs.foreground, foreground), background / _twice(pairs.background, background)


def _twice(kind: Tensor, like: Tensor) -> Tensor:
    """How many coordinates a kind of pairs has: two for each pair."""
    return 2 * mean_over_processes(kind.sum(dtype=like.dtype)) + EPSILON
