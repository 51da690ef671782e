"""Compares the sparse random walk with the dense one in AffinityNet's and IRN's code.

``python -m benchmarks.random_walk`` walks 2^8 steps with radius 5 and beta 10, as in IRN. The dense side is the
authors' computation, in float32: a dense matrix of affinities to the power beta with normalised columns, squared eight
times, and multiplied by the maps. If eight squarings take too long, the time of two is scaled up, and the output says
so. The sparse side is the package's, in float64, including the construction of its matrix, with the median of several
runs.

Deviations are the largest difference from a float64 walk, divided by that walk's largest value: a dense walk up to
4,000 cells, and 256 products with a sparse matrix from a list of pairs for more cells.

The last line holds the figures of the last size.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor
from torch.nn import functional

from benchmarks.measuring import MEBIBYTE, heading, last_line, median_seconds, peak_memory, seconds, torch_threads
from wsss_core.refinement.affinity_pairs import Offset, neighbour_offsets, pair_affinities, pair_windows
from wsss_core.refinement.random_walk import (
    multiplied_by_power,
    random_walk,
    walk_one_by_one,
    walk_side_by_side,
)
from wsss_core.refinement.walk_matrix import WalkMatrix, walk_matrix

RADIUS, BETA, LOG2_STEPS = 5, 10.0, 8
"""IRN's settings."""
DENSE_SECONDS = 60
"""If the dense side's squarings would take longer, only two are computed, and their time is scaled up."""
DENSE_CELLS = 4000
"""The largest number of cells for which the exact walk is dense."""
REPEATS = 7
"""Runs of the sparse side."""


class Case(NamedTuple):
    """Maps and affinities of an image's size."""

    maps: np.ndarray
    """float64 (K, h, w), values in [0, 1]."""
    affinities: np.ndarray
    """float32 (P, h, w)."""
    offsets: list[Offset]


def make_case(height: int, width: int, classes: int) -> Case:
    """Smooth random maps, and affinities of smooth random features with some edges."""
    generator = torch.Generator().manual_seed(height * width)
    coarse = torch.rand(1, classes + 16, height // 8 + 2, width // 8 + 2, generator=generator)
    smooth = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
    offsets = neighbour_offsets(RADIUS)
    features = smooth[classes:] + 0.2 * (smooth[classes:] > 0.5)
    return Case(smooth[:classes].clamp(0, 1).double().numpy(), pair_affinities(features, offsets).numpy(), offsets)


def pairs_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First cells, second cells and affinities of all pairs."""
    _, height, width = case.maps.shape
    numbers = np.arange(height * width).reshape(height, width)
    firsts, seconds_, values = [], [], []
    for offset, affinity in zip(case.offsets, case.affinities, strict=True):
        first, second = pair_windows(offset, height, width)
        firsts.append(numbers[first].reshape(-1))
        seconds_.append(numbers[second].reshape(-1))
        values.append(affinity[first].reshape(-1))
    return np.concatenate(firsts), np.concatenate(seconds_), np.concatenate(values)


def dense_transitions(case: Case, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (n, n) of one step as in the authors' code, with powers of the dense matrix."""
    cells = case.maps[0].size
    first, second, values = (torch.from_numpy(array).to(device) for array in pairs_of(case))
    affinities = torch.eye(cells, dtype=dtype, device=device)
    affinities[first, second] = values.to(dtype)
    affinities[second, first] = values.to(dtype)
    affinities = affinities.pow(BETA)
    return affinities / affinities.sum(dim=0, keepdim=True)


class DenseRun(NamedTuple):
    """The authors' walk, or the estimate of its time."""

    walked: np.ndarray | None
    """(K, h, w); None if not all squarings were computed."""
    seconds: float
    squarings: int
    """Number of computed and timed squarings, of eight."""


def dense_run(case: Case, device: torch.device, dtype: torch.dtype = torch.float32) -> DenseRun:
    """Time the dense walk; if all squarings would take longer than a minute, scale up the time of two."""
    transitions, duration = seconds(lambda: dense_transitions(case, dtype, device), device)
    squaring, done = 0.0, 0
    while done < LOG2_STEPS and (done < 2 or squaring / done * LOG2_STEPS <= DENSE_SECONDS):
        before = transitions
        transitions, one = seconds(lambda matrix=before: matrix @ matrix, device)  # type: ignore[misc]
        squaring, done = squaring + one, done + 1
    start = torch.from_numpy(case.maps.reshape(len(case.maps), -1)).to(device, dtype)
    walked, product = seconds(lambda: (start @ transitions).cpu().numpy().reshape(case.maps.shape), device)
    total = duration + squaring / done * LOG2_STEPS + product
    return DenseRun(walked if done == LOG2_STEPS else None, total, done)


def exact_walk(case: Case) -> tuple[np.ndarray, str]:
    """The walk (K, h, w) in float64 without the series, and the method."""
    cells = case.maps[0].size
    if cells <= DENSE_CELLS:
        matrix = dense_transitions(case, torch.float64, torch.device("cpu"))
        for _ in range(LOG2_STEPS):
            matrix = matrix @ matrix
        start = torch.from_numpy(case.maps.reshape(len(case.maps), -1))
        return (start @ matrix).numpy().reshape(case.maps.shape), "dense walk in float64"
    first, second, values = pairs_of(case)
    values = values.astype(np.float64) ** BETA
    own = np.arange(cells)
    row, column = np.concatenate([first, second, own]), np.concatenate([second, first, own])
    affinities = coo_array((np.concatenate([values, values, np.ones(cells)]), (row, column))).tocsr()
    degrees = np.asarray(affinities.sum(axis=0))
    walked = np.empty_like(case.maps)
    for k, start_map in enumerate(case.maps):
        vector = start_map.reshape(-1)
        for _ in range(2**LOG2_STEPS):
            vector = (affinities @ vector) / degrees  # A is symmetric: x A D^-1
        walked[k] = vector.reshape(walked.shape[1:])
    return walked, f"{2**LOG2_STEPS} sparse products in float64, not a dense walk"


def walk_by_gathering(maps: Tensor, matrix: WalkMatrix, log2_steps: int) -> Tensor:
    """The walk (K, n) of all maps together, in which each cell gathers its neighbours' values.

    An alternative to ``walk_side_by_side`` on a GPU, which needs K * Q * n values for each product.
    """
    cells = matrix.degrees.numel()
    distances = torch.tensor(matrix.distances, device=maps.device)[:, None]
    columns = (torch.arange(cells, device=maps.device) + distances).clamp_(0, cells - 1)  # outside the grid S is 0

    def multiply(vectors: Tensor) -> Tensor:
        return torch.einsum("qn,qnk->nk", matrix.diagonals, vectors[columns])

    root = matrix.degrees.sqrt()[:, None]
    return (multiplied_by_power(multiply, maps.T * root, log2_steps) / root).T


def formulations(case: Case, device: torch.device) -> dict[str, Callable[[], object]]:
    """The possible computations of the walk on the device, without the construction of the matrix."""
    matrix = walk_matrix(torch.from_numpy(case.affinities).to(device), case.offsets, BETA)
    maps = case.maps.reshape(len(case.maps), -1)
    tensor = torch.from_numpy(maps).to(device)
    ways: dict[str, Callable[[], object]] = {
        "side by side, compressed rows (torch)": lambda: walk_side_by_side(tensor, matrix, LOG2_STEPS),
        "side by side, gathering neighbours (torch)": lambda: walk_by_gathering(tensor, matrix, LOG2_STEPS),
    }
    if device.type == "cpu":
        ways["one by one, diagonals (SciPy)"] = lambda: walk_one_by_one(maps, matrix, LOG2_STEPS)
    return ways


def sparse_walk(case: Case, device: torch.device) -> np.ndarray:
    """The package's walk, from arrays to arrays."""
    return random_walk(case.maps, case.affinities, case.offsets, BETA, LOG2_STEPS, device)


def peak_of_walk(case: Case, device: torch.device) -> int | None:
    """Bytes that the package's walk needs besides its arguments; for a fresh process."""
    sparse_walk(make_case(8, 8, len(case.maps)), device)  # so that libraries are loaded before measuring
    return peak_memory(lambda: sparse_walk(case, device), device)


def compare(height: int, width: int, classes: int, device: torch.device) -> tuple[float, float]:
    """Time both sides at one size, print the measurements, and return ratio and deviation."""
    case = make_case(height, width, classes)
    size = f"{height}x{width}"
    print(f"{size}: {height * width} cells, {classes} maps, radius {RADIUS}, beta {BETA:g}, 2^{LOG2_STEPS} steps")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        peak = process.submit(peak_of_walk, case, device).result()
    arrays = (case.maps.nbytes + case.affinities.nbytes) / MEBIBYTE
    above = "not measured here" if peak is None else f"{peak / MEBIBYTE:.1f} MiB"
    print(f"{size}: sparse walk: peak memory above maps and affinities ({arrays:.1f} MiB): {above}")
    walked, sparse = median_seconds(lambda: sparse_walk(case, device), REPEATS, device)
    print(f"{size}: sparse walk: {sparse:.4f} s (median of {REPEATS}), float64")
    for name, way in formulations(case, device).items():
        print(f"{size}: {name}, without the matrix: {median_seconds(way, 3, device)[1]:.4f} s")
    exact, how = exact_walk(case)
    largest = float(np.abs(exact).max())
    deviation = float(np.abs(walked - exact).max()) / largest
    dense = dense_run(case, device)
    complete = dense.walked is not None
    extent = "complete" if complete else f"{dense.squarings} of {LOG2_STEPS} squarings, time scaled up"
    print(f"{size}: dense walk: {dense.seconds:.2f} s ({extent}), float32")
    if dense.walked is not None:
        print(f"{size}: deviation of the dense walk: {float(np.abs(dense.walked - exact).max()) / largest:.3g}")
    print(f"{size}: deviations are from: {how}")
    return dense.seconds / sparse, deviation


def parse_size(text: str) -> tuple[int, int]:
    """Rows and columns from a text such as ``94x125``."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"a size looks like 94x125, not {text!r}")
    return int(height), int(width)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare at all sizes and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.random_walk", description=__doc__)
    parser.add_argument("--sizes", type=parse_size, nargs="+", default=[(47, 63), (94, 125)], metavar="HxW")
    parser.add_argument("--classes", type=int, default=3, help="number of maps (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch's, on both sides (default: cores)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
    options = parser.parse_args(arguments)
    with torch_threads(options.threads):
        print(heading(options.threads, options.device), flush=True)
        for number, (height, width) in enumerate(options.sizes, start=1):
            line = last_line(*compare(height, width, options.classes, options.device))
            print(line if number == len(options.sizes) else f"{height}x{width}: {line}", flush=True)


if __name__ == "__main__":
    main()
