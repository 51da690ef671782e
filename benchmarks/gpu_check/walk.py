"""Compares the random walk along affinities with the authors' dense matrix, squared eight times."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.load import measured
from benchmarks.random_walk import Case, dense_run, exact_walk, make_case, sparse_walk
from wsss_core.jobs.numerics import apply_numerics
from wsss_core.jobs.run import Run

SIZES, CLASSES = ((47, 63), (94, 125)), 3
"""Grids of VOC images with the strides of AffinityNet and IRN, and the number of maps."""
EXACT = 1e-6
"""Allowed deviation from a walk in float64, relative to the largest value."""


def rows(given: Given) -> Iterator[Row]:
    """Two rows for each size."""
    apply_numerics(Run(), given.device)
    for height, width in ((12, 16),) if given.small else SIZES:
        case, size = make_case(height, width, CLASSES), f"{height}x{width}"
        yield tried(f"dense matrix in float32, {size}", partial(dense, case, size, given))
        yield tried(f"ours, {size}", partial(ours, case, size, given))


def dense(case: Case, size: str, given: Given) -> Row:
    """Measure the authors' side."""
    return measured(partial(dense_run, case, given.device), given.device).row(f"dense matrix in float32, {size}", 1)


def ours(case: Case, size: str, given: Given) -> Row:
    """Measure the package's side, and its deviation from a walk in float64."""
    expected, _ = exact_walk(case)
    deviation = float(np.abs(sparse_walk(case, given.device) - expected).max() / np.abs(expected).max())
    row = measured(partial(sparse_walk, case, given.device), given.device).row(f"ours, {size}", 1, deviation=deviation)
    if not deviation <= EXACT:
        row.fault = f"it deviates by {deviation:.3g} from a walk in float64"
    return row
