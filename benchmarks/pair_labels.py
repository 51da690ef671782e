"""Compares the pair labels of a batch with a simple form.

``python -m benchmarks.pair_labels`` labels the pairs in generated label maps with the authors' sizes: crops of 448
pixels at stride 8 and radius 5 (AffinityNet), and of 512 pixels at stride 4 and radius 10 (IRN). The simple form takes
one pair after the other (``tests/oracles/pair_labels.py``, so run this in the repository's root); for IRN it only runs
on one label map, and its time is multiplied by the size of the batch. Another figure compares with arrays for one image
after the other, as in AffinityNet's data loader.

The deviation is the number of pairs with another label. The last line holds AffinityNet's figures.
"""

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.measuring import heading, last_line, median_seconds, seconds, torch_threads
from tests.oracles.pair_labels import plain_pair_labels
from wsss_core.refinement.affinity_pairs import Offset, neighbour_offsets
from wsss_core.refinement.pair_labels import pair_labels

UNLABELLED = 255
REPEATS = 7


class Setting(NamedTuple):
    """The sizes of a comparison."""

    name: str
    cells: int
    """Rows and columns of the grid."""
    radius: int
    batch: int
    plain_batch: int
    """Number of label maps for the simple form."""


SETTINGS = [Setting("IRN", 128, 10, 8, 1), Setting("AffinityNet", 56, 5, 8, 8)]


def make_labels(batch: int, cells: int, seed: int = 0) -> np.ndarray:
    """Label maps, uint8 (B, h, w): blocks of background, three classes and unlabelled cells."""
    random = np.random.default_rng(seed)
    blocks = random.choice([0, 0, 3, 7, 15, UNLABELLED], (batch, cells // 6 + 1, cells // 6 + 1))
    return blocks.repeat(6, axis=1).repeat(6, axis=2)[:, :cells, :cells].astype(np.uint8)


def by_arrays(labels: np.ndarray, offsets: Sequence[Offset], radius: int) -> list[np.ndarray]:
    """Three kinds of pairs, float32 (P, h' * w') each, in one label map (h, w), as in AffinityNet's data loader."""
    height, width = labels.shape
    far = radius - 1
    rows, columns = height - far, width - 2 * far
    first = labels[:rows, far : far + columns].reshape(-1)
    second = np.stack(
        [labels[down : down + rows, far + right : far + right + columns].reshape(-1) for down, right in offsets]
    )
    first = np.repeat(first[None], len(offsets), axis=0)
    valid = (first < UNLABELLED) & (second < UNLABELLED)
    equal = first == second
    background = equal & (first == 0)
    foreground = equal & valid & (first != 0)
    return [kind.astype(np.float32) for kind in (background, foreground, ~equal & valid)]


def compare(setting: Setting) -> tuple[float, int]:
    """Time both forms with one setting, print the measurements, and return ratio and deviation."""
    labels = make_labels(setting.batch, setting.cells)
    offsets = neighbour_offsets(setting.radius)
    few = labels[: setting.plain_batch]
    print(
        f"{setting.name}: {setting.batch} label maps of {setting.cells}x{setting.cells}, radius {setting.radius}, "
        f"{len(offsets)} offsets"
    )
    ours, own = median_seconds(lambda: pair_labels(torch.from_numpy(labels), offsets, setting.radius), REPEATS)
    print(f"{setting.name}: pair_labels: {own:.5f} s (median of {REPEATS})")
    arrays, array_time = median_seconds(lambda: [by_arrays(one, offsets, setting.radius) for one in labels], REPEATS)
    print(f"{setting.name}: arrays, image by image: {array_time:.5f} s, ratio {array_time / own:.4g}")
    expected, plain = seconds(lambda: plain_pair_labels(few, offsets, setting.radius))
    plain *= len(labels) / len(few)
    note = "" if len(few) == len(labels) else f" ({len(few)} of {len(labels)} label maps timed for all)"
    print(f"{setting.name}: plain form: {plain:.2f} s{note}", flush=True)
    differing = sum(int((kind[: len(few)].numpy() != other).sum()) for kind, other in zip(ours, expected, strict=True))
    for kind, other in zip(ours, zip(*arrays, strict=True), strict=True):
        differing += int((kind.numpy().reshape(len(labels), len(offsets), -1) != np.stack(other)).sum())
    return plain / own, differing


def main(arguments: Sequence[str] | None = None, all_settings: Sequence[Setting] = tuple(SETTINGS)) -> None:
    """Compare with all settings and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pair_labels", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch's (default: cores)")
    options = parser.parse_args(arguments)
    with torch_threads(options.threads):
        print(heading(options.threads), flush=True)
        for number, setting in enumerate(all_settings, start=1):
            line = last_line(*compare(setting))
            print(line if number == len(all_settings) else f"{setting.name}: {line}", flush=True)


if __name__ == "__main__":
    main()
