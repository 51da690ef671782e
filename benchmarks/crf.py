"""The dense CRF over worker processes against one process.

``python -m benchmarks.crf`` refines generated images of VOC's size through ``ImagePool``, first in
one process, which is this one, then in several. Their time is wall time from the making of the
pool until it is closed: the start of the processes counts.
"""

import argparse
import os
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.measuring import heading, last_line
from wsss_core.config.crf import Crf
from wsss_core.image_pool import ImagePool
from wsss_core.refinement.crf import dense_crf

Scene = tuple[np.ndarray, np.ndarray]
"""An image, uint8 (H, W, 3), and its score maps, float32 (L, H, W)."""


def make_scene(seed: int, height: int, width: int, labels: int) -> Scene:
    """Coloured bumps on a slope with noise, and a score map that is high on one of the bumps for each label."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = random.uniform(40, 120, 3) + (rows / height)[..., None] * random.uniform(-40, 40, 3)
    scores = np.full((labels, height, width), 0.2)
    for bump in range(max(6, labels)):
        centre, spread = random.uniform(0, (height, width)), random.uniform(0.06, 0.25, 2) * (height, width)
        shape = np.exp(-(((rows - centre[0]) / spread[0]) ** 2 + ((columns - centre[1]) / spread[1]) ** 2) / 2)
        image += shape[..., None] * random.uniform(-160, 160, 3)
        if 1 <= bump < labels:  # label 0 is the background
            scores[bump] = shape
    image += random.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), scores.astype(np.float32)


def refine_all(scenes: Sequence[Scene], crf: Crf, processes: int) -> tuple[list[np.ndarray], float]:
    """The CRF's results for all scenes in so many processes, and the wall time."""
    start = time.perf_counter()
    names = [str(number) for number in range(len(scenes))]
    pool: ImagePool[np.ndarray] = ImagePool(dense_crf, lambda number: (*scenes[number], crf), names, processes)
    with pool:
        results = [pool(number) for number in range(len(scenes))]
    return results, time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Refine the same images both ways and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crf", description=__doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--labels", type=int, default=3, help="background included (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="worker processes (default: cores)")
    options = parser.parse_args(arguments)
    scenes = [make_scene(seed, options.height, options.width, options.labels) for seed in range(options.images)]
    crf = Crf()
    print(heading(options.threads))
    print(f"{options.images} images of {options.height}x{options.width}, {options.labels} labels, {crf!r}", flush=True)
    dense_crf(*scenes[0], crf)  # neither side pays for the import
    alone, one = refine_all(scenes, crf, 1)
    print(f"one process: {one:.2f} s", flush=True)
    together, several = refine_all(scenes, crf, options.threads)
    print(f"{options.threads} processes: {several:.2f} s, their start included")
    deviation = max(float(np.abs(a - b).max()) for a, b in zip(alone, together, strict=True))
    print(last_line(one / several, deviation))


if __name__ == "__main__":
    main()
