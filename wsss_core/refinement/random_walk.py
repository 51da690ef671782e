"""Random walk that spreads class maps along affinities (Ahn & Kwak, CVPR 2018, section 3.4).

A is the symmetric matrix of the affinities to the power beta, with ones on its diagonal; d_j is
the sum of its column j and D = diag(d). AffinityNet's and IRN's code normalises columns,
T = A D^-1, and multiplies row vectors from the left: x T^m with m = 2^t. So

    (x T)_j = sum_i x_i A_ij / d_j:

a cell's new value is the affinity-weighted mean of its neighbours' and its own. Constant maps do not change, values
stay within the range of x, and the sum of d_j x_j is preserved (not the sum of x_j).

T is similar to the symmetric matrix S = D^-1/2 A D^-1/2:

    x T^m = (x D^1/2) S^m D^-1/2,   and (z S^m)' = S^m z'.

The eigenvalues of S are those of a stochastic matrix, so they lie in [-1, 1], where with
u = (e^{ia} + e^{-ia}) / 2 the binomial theorem gives for even m

    u^m = 2^-m [ C(m, m/2) + 2 sum_{k = 2, 4, ..., m} C(m, (m-k)/2) T_k(u) ],   T_k(cos a) = cos(ka).

The coefficients are positive and sum to 1, and |T_k| <= 1: the error of leaving out all degrees above K is at most the
sum of their coefficients (in the norm of z). They fall like exp(-k^2 / 2m), so K grows with the square root of m: 90
products replace 256 steps. The other coefficients are scaled to sum to 1 again, which makes the part of the eigenvalue
1, which never decays, exact.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from wsss_core.inference.pieces import in_pieces
from wsss_core.jobs.devices import OnTheWay, moved
from wsss_core.refinement.affinity_pairs import Offset
from wsss_core.refinement.walk_matrix import (
    WalkMatrix,
    by_diagonals,
    compressed_rows,
    multiplied_by_diagonals,
    walk_matrix,
)

Vectors = TypeVar("Vectors", np.ndarray, Tensor)

TRUNCATION = 1e-8
"""The last coefficients of the Chebyshev series are left out if their sum is at most this."""
SIDE_BY_SIDE = 4
"""With at least this many maps, the CPU multiplies all of them at once by compressed rows.

Measured in one thread at 47 x 63 and 94 x 125 cells: one by one is three times as fast for one map, equally fast for
three, and half as fast for twenty.
"""


def random_walk(
    maps: np.ndarray | Tensor,
    affinities: np.ndarray | Tensor,
    offsets: Sequence[Offset],
    beta: float,
    log2_steps: int,
    device: torch.device | None = None,
) -> np.ndarray:
    """Let every class map walk ``2 ** log2_steps`` steps.

    Computed in float64: float32 column sums bias 256 steps by 1e-4, and float32 is not faster. Memory is linear in the
    number of cells.

    Args:
        maps: (K, h, w), finite; K may be 0. A tensor may be on any device.
        affinities: (P, h, w), values in [0, 1]: entry (p, y, x) belongs to the cells (y, x) and (y, x) + offset p.
            Entries with a second cell outside the grid are not read. A tensor may be on any device.
        offsets: the P offsets, as from ``neighbour_offsets``: each unordered pair once.
        beta: affinities are raised to this power; larger values make the walk respect edges more.
        log2_steps: binary logarithm of the number of steps, 0 or more.
        device: where to compute; the CPU by default. See :func:`walk_side_by_side` for GPUs.

    Returns:
        float64 (K, h, w): for each cell, the mean value at the end of a walk from it, so within each map's range.

    Raises:
        ValueError: shapes do not fit, or an affinity of a pair is not in [0, 1].
    """
    classes, height, width = maps.shape
    if tuple(affinities.shape) != (len(offsets), height, width):
        raise ValueError(
            f"affinities have the shape {tuple(affinities.shape)}; {len(offsets)} offsets and maps of "
            f"{height} x {width} cells need {(len(offsets), height, width)}"
        )
    device = torch.device("cpu") if device is None else device
    if not isinstance(affinities, Tensor):
        affinities = torch.from_numpy(np.ascontiguousarray(affinities))
    matrix = walk_matrix(moved(affinities.detach(), device), offsets, beta)
    start = moved(torch.as_tensor(maps).detach(), device).double().reshape(classes, height * width)
    if device.type == "cpu" and (classes < SIDE_BY_SIDE or not torch.backends.mkl.is_available()):
        walked = torch.from_numpy(walk_one_by_one(start.numpy(), matrix, log2_steps))
    else:
        walked = walk_side_by_side(start, matrix, log2_steps)
    if start.numel():  # The exact walk stays within these bounds, so this only removes the error of truncation.
        walked = torch.clamp(walked, start.amin(dim=1, keepdim=True), start.amax(dim=1, keepdim=True))
    return OnTheWay(walked.reshape(maps.shape)).arrived().numpy()


def walk_one_by_one(maps: np.ndarray, matrix: WalkMatrix, log2_steps: int) -> np.ndarray:
    """The walk of one map after the other with SciPy's sparse diagonals, in one thread.

    SciPy multiplies by diagonals faster than by compressed rows, but only one column at a time.

    Args:
        maps: float64 (K, n).
        matrix: of the walk; on the CPU.
        log2_steps: binary logarithm of the number of steps, 0 or more.

    Returns:
        float64 (K, n).
    """
    diagonals = by_diagonals(matrix)
    root = matrix.degrees.sqrt().numpy()
    walked = np.empty_like(maps)
    for k, start in enumerate(maps):
        walked[k] = multiplied_by_power(lambda vector: diagonals @ vector, start * root, log2_steps) / root
    return walked


def walk_side_by_side(maps: Tensor, matrix: WalkMatrix, log2_steps: int) -> Tensor:
    """The walk of all maps at once with torch's compressed rows.

    The formulation for GPUs, but not measured on one. It was preferred to gathering every cell's neighbours, because it
    needs no memory of the size of maps times pairs, and because a product is one call.
    ``python -m benchmarks.random_walk --device cuda`` measures both.

    Args:
        maps: float64 (K, n).
        matrix: of the walk; on the maps' device.
        log2_steps: binary logarithm of the number of steps, 0 or more.

    Returns:
        float64 (K, n), on the same device.
    """
    multiply: Callable[[Tensor], Tensor]
    if maps.device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
        # cuSPARSE does not guarantee the order of sums for the form of product that torch chooses.
        multiply = partial(multiplied_by_diagonals, matrix)
    else:
        multiply = compressed_rows(matrix).__matmul__
    root = matrix.degrees.sqrt()[:, None]

    def walked(some: slice) -> Tensor:
        vectors = multiplied_by_power(multiply, maps[some].T * root, log2_steps)
        return (vectors / root).T.contiguous()

    pieces = in_pieces(walked, len(maps), len(maps), maps.shape[1], "walking maps")
    return torch.cat(pieces) if pieces else torch.zeros_like(maps)


def multiplied_by_power(multiply: Callable[[Vectors], Vectors], start: Vectors, log2_steps: int) -> Vectors:
    """The product ``S^m z``, m = 2^t, by the series or by m products, whichever is faster.

    Args:
        multiply: computes ``S z``, in new memory.
        start: float64 z, (n,) or (n, K).
        log2_steps: binary logarithm t of the number of steps, 0 or more.

    Returns:
        Of the shape and type of ``start``.
    """
    steps = 2**log2_steps
    coefficients = chebyshev_coefficients(log2_steps)
    if len(coefficients) > steps:  # the series is not shorter than the walk
        for _ in range(steps):
            start = multiply(start)
        return start
    before, now = start, multiply(start)
    result = before * coefficients[0]
    for k, coefficient in enumerate(coefficients[1:].tolist(), start=1):
        if k > 1:  # T_k = 2 S T_{k-1} - T_{k-2}
            following = multiply(now)
            following *= 2
            following -= before
            before, now = now, following
        if coefficient:  # every second one is 0
            result += now * coefficient
    return result


def chebyshev_coefficients(log2_steps: int) -> np.ndarray:
    """Coefficients c of ``u ** (2 ** log2_steps) = sum_k c_k T_k(u)``, truncated at 1e-8.

    Args:
        log2_steps: binary logarithm of the power, 0 or more.

    Returns:
        float64 (K + 1,), not negative, with sum 1; the series needs K products.
    """
    steps = 2**log2_steps
    if steps == 1:
        return np.array([0.0, 1.0])
    orders = np.arange(0, steps, 2)
    # C(m, (m-k-2)/2) = C(m, (m-k)/2) (m-k) / (m+k+2); relative to k = 0, so that nothing overflows.
    weights = np.concatenate([[1.0], 2 * np.cumprod((steps - orders) / (steps + orders + 2.0))])
    weights /= weights.sum()
    left_out = np.cumsum(weights[::-1])[::-1]  # from each term to the last
    kept = weights[: max(int((left_out > TRUNCATION).sum()), 1)]
    coefficients = np.zeros(2 * len(kept) - 1)
    coefficients[::2] = kept / kept.sum()
    return coefficients
