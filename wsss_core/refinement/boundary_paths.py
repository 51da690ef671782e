"""Affinities of neighbouring cells from a boundary map: weak if there is a boundary between them (IRN).

Two cells belong together unless the straight path between them crosses a boundary (Ahn, Cho & Kwak, CVPR 2019, equation
6): their affinity is 1 minus the largest boundary value on the path.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from wsss_core.refinement.affinity_pairs import Offset, neighbour_offsets, pair_windows, shift_window

Path = tuple[Offset, ...]
"""Cells, relative to a pair's first one: its second cell at the start, (0, 0) at the end."""


def boundary_paths(radius: int) -> list[Path]:
    """The paths of all pairs of cells that are closer than ``radius``, each unordered pair once.

    A path has the cells in the bounding box of its ends that are closer than 1 to the straight line through them. The
    order of the paths (short to long) and within them (far to near) is that of irn ``misc/indexing.PathIndex``.

    Args:
        radius: in cells, at least 1.

    Returns:
        The paths; their first entries are ``neighbour_offsets(radius)`` in another order.

    Raises:
        ValueError: ``radius`` is below 1.
    """
    paths = [_straight_path(offset) for offset in neighbour_offsets(radius)]
    return sorted(paths, key=len)  # stable: equally long paths stay in the order of their offsets


def _straight_path(offset: Offset) -> Path:
    down, right = offset
    box = [(y, x) for y in range(down + 1) for x in range(min(right, 0), max(right, 0) + 1)]
    # The squared distance to the line, times its squared length: exact, because these are whole numbers.
    near = [(y, x) for y, x in box if (down * x - right * y) ** 2 < down * down + right * right]
    return tuple(sorted(near, key=lambda cell: -cell[0] - abs(cell[1])))


def boundary_affinities(boundaries: Tensor, paths: Sequence[Path]) -> Tensor:
    """One minus the largest boundary value on the path between two cells.

    Differentiable once; of equal values, the first on the path gets the gradient. Memory grows with the number of
    pairs, not with the number of cells on all paths.

    Args:
        boundaries: float (h, w) or (B, h, w), values in [0, 1].
        paths: the P paths, as from :func:`boundary_paths`.

    Returns:
        (P, h, w) or (B, P, h, w), values in [0, 1]: entry (p, y, x) is the affinity of the cells (y, x) and
        (y, x) + ``paths[p][0]``; 0 if the latter is outside the grid.

    Raises:
        ValueError: ``boundaries`` have another number of dimensions.
    """
    if boundaries.ndim == 2:
        return boundary_affinities(boundaries[None], paths)[0]
    if boundaries.ndim != 3:
        raise ValueError(f"boundaries are (h, w) or (B, h, w), not {tuple(boundaries.shape)}")
    return _PathAffinities.apply(boundaries, tuple(paths))  # type: ignore[no-any-return,no-untyped-call]


class _PathAffinities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, boundaries: Tensor, paths: Sequence[Path]) -> Tensor:
        batch, height, width = boundaries.shape
        affinities = boundaries.new_zeros(batch, len(paths), height, width)
        # The position of the largest value on the path; a path has fewer than 256 cells up to a radius of 100.
        largest = torch.zeros(affinities.shape, dtype=torch.uint8, device=boundaries.device)
        for p, path in enumerate(paths):
            first, _ = pair_windows(path[0], height, width)
            values = torch.stack([boundaries[(..., *shift_window(first, cell))] for cell in path], dim=1)
            found = values.max(dim=1)  # the first of equal values
            affinities[(slice(None), p, *first)] = 1 - found.values
            largest[(slice(None), p, *first)] = found.indices.to(torch.uint8)
        ctx.save_for_backward(largest)
        ctx.paths = paths
        return affinities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (largest,) = ctx.saved_tensors
        batch, _, height, width = gradient.shape
        result = gradient.new_zeros(batch, height, width)
        for p, path in enumerate(ctx.paths):
            first, _ = pair_windows(path[0], height, width)
            own, where = gradient[(slice(None), p, *first)], largest[(slice(None), p, *first)]
            for position, cell in enumerate(path):  # no scatter: on a GPU it adds in random order
                result[(..., *shift_window(first, cell))] -= own * (where == position)
        return result, None
