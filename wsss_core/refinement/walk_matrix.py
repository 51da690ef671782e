"""The matrix of a random walk on a grid, and its products with vectors.

With cells numbered row by row, all pairs of an offset are on one diagonal of the matrix and, mirrored, on another. So
the matrix is first a table with a row for each diagonal, which needs no sorting and no list of pairs.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.sparse import dia_array
from torch import Tensor

from wsss_core.jobs.devices import moved
from wsss_core.refinement.affinity_pairs import Offset, pair_windows


class WalkMatrix(NamedTuple):
    """The symmetric matrix ``S = D^-1/2 A D^-1/2`` by diagonals, where D holds the column sums of A."""

    diagonals: Tensor
    """float64 (Q, n): entry (q, i) is ``S[i, i + distances[q]]``, 0 if there is no such column."""
    distances: list[int]
    """The Q distances between cell numbers, ascending; the one in the middle is 0."""
    degrees: Tensor
    """float64 (n,): the column sums of A."""


def walk_matrix(affinities: Tensor, offsets: Sequence[Offset], beta: float) -> WalkMatrix:
    """The matrix of a walk along affinities to the power beta, with ones on A's diagonal.

    Args:
        affinities: float (P, h, w) on any device, values in [0, 1]; entries with a second cell outside the grid are not
            read.
        offsets: the P offsets, each unordered pair once.
        beta: affinities are raised to this power.

    Returns:
        The matrix, on the affinities' device.

    Raises:
        ValueError: an affinity of a pair is not in [0, 1].
    """
    _, height, width = affinities.shape
    cells = height * width
    strengths: dict[int, Tensor] = {}  # by distance between cell numbers: by first cell, (n,)
    in_range: dict[Offset, Tensor] = {}
    for p, offset in enumerate(offsets):
        first, _ = pair_windows(offset, height, width)
        values = affinities[p][first].to(torch.float64)
        if not values.numel():
            continue
        lowest, highest = values.aminmax()
        in_range[offset] = (lowest >= 0) & (highest <= 1)  # NaN fails both
        distance = offset[0] * width + offset[1]
        if distance not in strengths:
            strengths[distance] = values.new_zeros(cells)
        # In grids narrower than the radius, two offsets may share a diagonal, but never a pair.
        strengths[distance].view(height, width)[first] += values**beta
    # Read all at once, because each reading waits for the device.
    for offset, fits in zip(in_range, torch.stack(list(in_range.values())).tolist() if in_range else (), strict=True):
        if not fits:
            raise ValueError(f"affinities of offset {offset} are not all in [0, 1]")
    degrees = affinities.new_ones(cells, dtype=torch.float64)
    for distance, strength in strengths.items():
        degrees += strength
        degrees[distance:] += strength[: cells - distance]
    reach = sorted(strengths)
    middle = len(reach)
    inverse_root = degrees.rsqrt()
    # Row by row: for the whole table, torch would use several threads, and wait for them on a busy machine.
    diagonals = affinities.new_empty(2 * middle + 1, cells, dtype=torch.float64)
    diagonals[middle] = degrees.reciprocal()
    for q, distance in enumerate(reach, start=1):
        onward, back = diagonals[middle + q], diagonals[middle - q]
        onward[cells - distance :] = 0
        torch.mul(strengths.pop(distance)[: cells - distance], inverse_root[distance:], out=onward[: cells - distance])
        onward *= inverse_root
        back[:distance] = 0
        back[distance:] = onward[: cells - distance]
    return WalkMatrix(diagonals, [-distance for distance in reversed(reach)] + [0, *reach], degrees)


def by_diagonals(matrix: WalkMatrix) -> dia_array:
    """The matrix for SciPy, (n, n), sharing the table's memory; the table has to be on the CPU."""
    cells = matrix.degrees.numel()
    # SciPy places an entry in the table by its column; by symmetry, this is the row of its mirror image.
    mirrored = [-distance for distance in matrix.distances]
    return dia_array((matrix.diagonals.numpy(), mirrored), shape=(cells, cells))


def multiplied_by_diagonals(matrix: WalkMatrix, vectors: Tensor) -> Tensor:
    """The product of the matrix and vectors, diagonal after diagonal, in a fixed order.

    Args:
        matrix: of the walk, on any device.
        vectors: float64 (n, K), on the same device.

    Returns:
        float64 (n, K), in new memory.
    """
    cells = matrix.degrees.numel()
    result = torch.zeros_like(vectors)
    for diagonal, distance in zip(matrix.diagonals, matrix.distances, strict=True):
        first, last = max(0, -distance), min(cells, cells - distance)
        result[first:last].addcmul_(diagonal[first:last, None], vectors[first + distance : last + distance])
    return result


def compressed_rows(matrix: WalkMatrix) -> Tensor:
    """The matrix as a sparse tensor, (n, n), on the table's device, with 32-bit indices.

    Pairs of an offset that leave the grid on one side and return a row below are kept as zeros: leaving them out takes
    longer than multiplying by them.
    """
    cells, device = matrix.degrees.numel(), matrix.diagonals.device
    distances = moved(torch.tensor(matrix.distances, dtype=torch.int32), device)
    columns = torch.arange(cells, dtype=torch.int32, device=device)[:, None] + distances
    inside = (columns >= 0) & (columns < cells)
    starts = torch.zeros(cells + 1, dtype=torch.int32, device=device)
    starts[1:] = inside.sum(dim=1).cumsum(dim=0)
    # Their number is known here; with a mask, torch would have to read it from the device, and wait.
    entries = sum(cells - abs(distance) for distance in matrix.distances)
    chosen = torch.nonzero_static(inside.flatten(), size=entries)[:, 0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(beta state|invariant checks)")
        return torch.sparse_csr_tensor(
            starts,
            columns.flatten()[chosen],
            matrix.diagonals.T.flatten()[chosen],
            (cells, cells),
            check_invariants=False,
        )
