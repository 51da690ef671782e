"""Random walk that spreads class maps along affinities (Ahn & Kwak, CVPR 2018, section 3.4).

A is the symmetric matrix of the affinities to the power beta, with ones on its diagonal; d_j is
the sum of its column j and D = diag(d). AffinityNet's and IRN's code normalises columns,
T = A D^-1, and multiplies row vectors from the left: x T^m with m = 2^t. So

    (x T)_j = sum_i x_i A_ij / d_j:

a cell's new value is the affinity-weighted mean of its neighbours' and its own. Constants stay
what they are, values never leave the range of x, and the sum of d_j x_j is kept (not that of x_j).

T is similar to the symmetric matrix S = D^-1/2 A D^-1/2:

    x T^m = (x D^1/2) S^m D^-1/2,   and (z S^m)' = S^m z'.

The eigenvalues of S are those of a stochastic matrix, so they lie in [-1, 1], where with
u = (e^{ia} + e^{-ia}) / 2 the binomial theorem gives for even m

    u^m = 2^-m [ C(m, m/2) + 2 sum_{k = 2, 4, ..., m} C(m, (m-k)/2) T_k(u) ],   T_k(cos a) = cos(ka).

The coefficients are positive and sum to 1 and |T_k| <= 1: what is left out past a degree K errs by
no more than the coefficients left out (in the norm of z). They fall like exp(-k^2 / 2m), so K grows
with the square root of m: 90 products stand for 256 steps. What is kept is scaled to sum 1 again,
which makes the eigenvalue 1, whose part never decays, exact.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import dia_array

from wsss_core.refinement.affinity_pairs import Offset, pair_windows

TRUNCATION = 1e-8
"""Coefficients of the Chebyshev series that sum to no more than this are left out."""


def random_walk(
    maps: np.ndarray,
    affinities: np.ndarray,
    offsets: Sequence[Offset],
    beta: float,
    log2_steps: int,
) -> np.ndarray:
    """Let every class map walk ``2 ** log2_steps`` steps.

    Computed in float64: float32 column sums bias 256 steps by 1e-4, and float32 is no faster.
    Memory is linear in the number of cells.

    Args:
        maps: (K, h, w), finite; K may be 0.
        affinities: (P, h, w), values in [0, 1]: entry (p, y, x) belongs to the cells (y, x) and
            (y, x) + offset p. Entries whose second cell lies outside the grid are not read.
        offsets: the P offsets, as of ``neighbour_offsets``: each unordered pair once.
        beta: affinities are raised to this power; larger values make the walk keep to edges.
        log2_steps: binary logarithm of the number of steps, 0 or more.

    Returns:
        float64 (K, h, w): the mean of the values that a walk from a cell ends on, so within each
        map's range.

    Raises:
        ValueError: shapes do not fit, or an affinity of a pair is not in [0, 1].
    """
    classes, height, width = maps.shape
    if affinities.shape != (len(offsets), height, width):
        raise ValueError(
            f"affinities are of shape {affinities.shape}; {len(offsets)} offsets and maps of "
            f"{height} x {width} cells need {(len(offsets), height, width)}"
        )
    matrix, degrees = _symmetric_walk_matrix(affinities, offsets, beta)
    coefficients = chebyshev_coefficients(log2_steps)
    root = np.sqrt(degrees)
    walked = np.empty((classes, height, width))
    for k in range(classes):  # scipy multiplies columns one by one faster than side by side
        start = maps[k].reshape(-1).astype(np.float64)
        vector = start * root
        if len(coefficients) - 1 < 2**log2_steps:
            vector = _chebyshev_series(matrix, vector, coefficients)
        else:
            for _ in range(2**log2_steps):
                vector = matrix @ vector
        # The bounds hold for the exact walk, so this takes nothing but the error of truncation.
        walked[k] = np.clip(vector / root, start.min(), start.max()).reshape(height, width)
    return walked


def chebyshev_coefficients(log2_steps: int) -> np.ndarray:
    """Coefficients c of ``u ** (2 ** log2_steps) = sum_k c_k T_k(u)``, truncated at 1e-8.

    Args:
        log2_steps: binary logarithm of the power, 0 or more.

    Returns:
        float64 (K + 1,), not negative, sum 1; K is the number of products the series takes.
    """
    steps = 2**log2_steps
    if steps == 1:
        return np.array([0.0, 1.0])
    orders = np.arange(0, steps, 2)
    # C(m, (m-k-2)/2) = C(m, (m-k)/2) (m-k) / (m+k+2); in proportion to k = 0, nothing overflows.
    weights = np.concatenate([[1.0], 2 * np.cumprod((steps - orders) / (steps + orders + 2.0))])
    weights /= weights.sum()
    left_out = np.cumsum(weights[::-1])[::-1]  # from each term to the last
    kept = weights[: max(int((left_out > TRUNCATION).sum()), 1)]
    coefficients = np.zeros(2 * len(kept) - 1)
    coefficients[::2] = kept / kept.sum()
    return coefficients


def _chebyshev_series(matrix: dia_array, vector: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """``sum_k c_k T_k(S) z`` by ``T_k = 2 S T_{k-1} - T_{k-2}``; vectors are (n,)."""
    before, now = vector, matrix @ vector
    result = coefficients[0] * before
    for k, coefficient in enumerate(coefficients[1:], start=1):
        if k > 1:
            following = matrix @ now
            following *= 2
            following -= before
            before, now = now, following
        if coefficient:  # every second one is 0
            result += coefficient * now
    return result


def _symmetric_walk_matrix(
    affinities: np.ndarray, offsets: Sequence[Offset], beta: float
) -> tuple[dia_array, np.ndarray]:
    """``D^-1/2 A D^-1/2`` as a sparse (n, n) matrix, and the column sums of A, (n,).

    With cells numbered row by row, all pairs of an offset lie on one diagonal and, mirrored, on
    another. So the matrix is built without sorting and multiplied without index lookups: less
    time and memory than compressed rows.
    """
    _, height, width = affinities.shape
    cells = height * width
    strengths: dict[int, np.ndarray] = {}  # by distance between cell numbers: by first cell, (n,)
    for p, offset in enumerate(offsets):
        first, _ = pair_windows(offset, height, width)
        values = np.asarray(affinities[p][first], dtype=np.float64)
        if not values.size:
            continue
        if not (values.min() >= 0 and values.max() <= 1):  # not a number fails both
            raise ValueError(f"affinities of offset {offset} are not all in [0, 1]")
        # In grids narrower than the radius two offsets share a diagonal, but never a pair.
        flat = strengths.setdefault(offset[0] * width + offset[1], np.zeros(cells))
        flat.reshape(height, width)[first] += values**beta
    degrees = np.ones(cells)
    for distance, strength in strengths.items():
        degrees += strength
        degrees[distance:] += strength[: cells - distance]
    inverse_root = 1 / np.sqrt(degrees)
    data = np.zeros((2 * len(strengths) + 1, cells))  # scipy: by column of the matrix
    data[0] = 1 / degrees
    numbers = [0]
    for row, (distance, strength) in enumerate(strengths.items()):
        below, above = data[2 * row + 1], data[2 * row + 2]
        below[: cells - distance] = strength[: cells - distance] * inverse_root[distance:]
        below *= inverse_root
        above[distance:] = below[: cells - distance]
        numbers += [-distance, distance]
    return dia_array((data, numbers), shape=(cells, cells)), degrees
