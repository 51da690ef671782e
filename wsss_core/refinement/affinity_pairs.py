"""Affinities of neighbouring cells: the pairs, and the similarity of their features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Offset = tuple[int, int]
"""Cells down (0 or more) and to the right from the first cell of a pair to the second."""
Window = tuple[slice, slice]
"""Rows and columns of a grid."""


def neighbour_offsets(radius: int) -> list[Offset]:
    """The offsets of all pairs of cells that are closer than ``radius``, each unordered pair once.

    First the offsets within a row, (0, 1) to (0, radius - 1), then (y, x) with y >= 1 and x^2 + y^2 < radius^2, row by
    row, in the order of AffinityNet's code (``pyutils.GetIndicesInRadius``).

    Args:
        radius: in cells, at least 1.

    Returns:
        The offsets (down, right); 34 for a radius of 5.

    Raises:
        ValueError: ``radius`` is below 1.
    """
    if radius < 1:
        raise ValueError(f"a radius is 1 cell or more, not {radius}")
    span = range(1 - radius, radius)
    below = [(y, x) for y in range(1, radius) for x in span if x * x + y * y < radius * radius]
    return [(0, x) for x in range(1, radius)] + below


def pair_windows(offset: Offset, height: int, width: int) -> tuple[Window, Window]:
    """The windows of the first and the second cells of all pairs of an offset in a grid.

    AffinityNet's code leaves out first cells near the border; here every pair within the grid counts.

    Args:
        offset: cells down and right.
        height: rows of the grid.
        width: columns of the grid.

    Returns:
        Two windows of the same shape, which are empty if the grid is too small for the offset.
    """
    down, right = offset
    rows, columns = max(height - down, 0), max(width - abs(right), 0)
    left = max(-right, 0) if columns else 0
    first = (slice(0, rows), slice(left, left + columns))
    start = left + right if columns else 0
    second = (slice(height - rows, height), slice(start, start + columns))
    return first, second


def shift_window(window: Window, offset: Offset) -> Window:
    """A window shifted by an offset; it has to be within the grid."""
    (rows, columns), (down, right) = window, offset
    return slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right)


def inner_window(radius: int, height: int, width: int) -> Window:
    """The first cells whose pairs are all within the grid: the authors' codes train on these.

    Args:
        radius: in cells; the offsets are those of ``neighbour_offsets(radius)``.
        height: rows of the grid.
        width: columns of the grid.

    Returns:
        The grid without the last ``radius - 1`` rows, and without ``radius - 1`` columns on either side; empty in small
        grids.
    """
    margin = radius - 1
    rows, columns = max(height - margin, 0), max(width - 2 * margin, 0)
    return slice(0, rows), slice(margin, margin + columns)


def radius_in_small_grid(radius: int, height: int, width: int) -> int:
    """The radius of a walk on a grid that may be too small for the trained one.

    AffinityNet's code uses the same radius on every grid (psa ``network/resnet38_aff.py``), and fails if there is no
    inner first cell: for radius 5, on fewer than 5 rows or 9 columns.

    Args:
        radius: of the training, in cells.
        height: rows of the grid.
        width: columns of the grid.

    Returns:
        The largest radius up to ``radius`` for which :func:`inner_window` is not empty; at least 1, which means no
        pairs.
    """
    return max(min(radius, height, (width + 1) // 2), 1)


def pair_affinities(features: Tensor, offsets: Sequence[Offset]) -> Tensor:
    """Affinities ``exp(-mean_c |f_i - f_j|)`` of neighbouring cells (Ahn & Kwak, equation 3).

    Differentiable once. Differences are computed offset by offset, and again in the backward pass, so that memory grows
    with C + P, not with C * P.

    Args:
        features: float (C, h, w) or (B, C, h, w).
        offsets: the P offsets from a pair's first cell to its second.

    Returns:
        (P, h, w) or (B, P, h, w), values in (0, 1]: entry (p, y, x) is the affinity of the cells (y, x) and
        (y, x) + offset p; 0 if the latter is outside the grid.

    Raises:
        ValueError: ``features`` has another number of dimensions.
    """
    if features.ndim == 3:
        return pair_affinities(features[None], offsets)[0]
    if features.ndim != 4:
        raise ValueError(f"features are (C, h, w) or (B, C, h, w), not {tuple(features.shape)}")
    return _PairAffinities.apply(features, tuple(offsets))  # type: ignore[no-any-return,no-untyped-call]


class _PairAffinities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, offsets: Sequence[Offset]) -> Tensor:
        batch, _, height, width = features.shape
        affinities = features.new_zeros(batch, len(offsets), height, width)
        for p, offset in enumerate(offsets):
            (rows, columns), (rows_2, columns_2) = pair_windows(offset, height, width)
            difference = features[:, :, rows, columns] - features[:, :, rows_2, columns_2]
            affinities[:, p, rows, columns] = difference.abs_().mean(dim=1).neg_().exp_()
        ctx.save_for_backward(features, affinities)
        ctx.offsets = offsets
        return affinities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features, affinities = ctx.saved_tensors
        _, channels, height, width = features.shape
        # d exp(-mean |f_i - f_j|) / d f_i = -affinity * sign(f_i - f_j) / C, and the reverse for f_j.
        scaled = gradient * affinities / -channels
        result = torch.zeros_like(features)
        for p, offset in enumerate(ctx.offsets):
            (rows, columns), (rows_2, columns_2) = pair_windows(offset, height, width)
            step = features[:, :, rows, columns] - features[:, :, rows_2, columns_2]
            step.sign_().mul_(scaled[:, p : p + 1, rows, columns])
            result[:, :, rows, columns] += step
            result[:, :, rows_2, columns_2] -= step
        return result, None
