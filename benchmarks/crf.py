"""Compares the dense CRF of a shard in several processes and in one process.

``python -m benchmarks.crf`` refines the seeds of generated images of VOC's size as the stage `refined_seeds`, from
image files and a store of class maps to label maps on the disk: in this process, and in several processes, in turn. A
run's wall time is from the first image to the last. The output also has the number of busy cores, because other work on
them lowers the ratio. The workers' start is measured separately, by the same run without the CRF, and subtracted,
because a real shard has hundreds of images. ``ratio`` is that of the medians; the goal is 0.9 for each process.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas
from PIL import Image

from benchmarks.measuring import Share, heading, last_line, processor_shares
from benchmarks.smooth_maps import no_work
from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.run import Run
from wsss_core.refinement.confident_labels import label_map_of_stored_cams
from wsss_core.refinement.refined_seeds import refine_seeds

GOAL = 0.9
"""The wanted speed-up for each process."""
BACKGROUND = BackgroundScore(threshold=0.3)


def make_scene(seed: int, height: int, width: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Coloured bumps on a gradient with noise, and for each label but the background a map of one of the bumps.

    Returns:
        The image, uint8 (height, width, 3), and the maps, float32 (labels - 1, height, width).
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = random.uniform(40, 120, 3) + (rows / height)[..., None] * random.uniform(-40, 40, 3)
    maps = np.zeros((labels - 1, height, width), np.float32)
    for bump in range(max(6, labels)):
        centre, spread = random.uniform(0, (height, width)), random.uniform(0.06, 0.25, 2) * (height, width)
        shape = np.exp(-(((rows - centre[0]) / spread[0]) ** 2 + ((columns - centre[1]) / spread[1]) ** 2) / 2)
        image += shape[..., None] * random.uniform(-160, 160, 3)
        if bump < labels - 1:
            maps[bump] = shape
    image += random.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), maps


def make_shard(folder: Path, images: int, height: int, width: int, labels: int) -> tuple[DatasetIndex, Path]:
    """Write image files and the store of their class maps; returns their index and the store."""
    classes = tuple(f"class{number}" for number in range(labels - 1))
    rows, stored = [], []
    for number in range(images):
        image, maps = make_scene(number, height, width, labels)
        name, file = f"{number:06d}", folder / f"{number:06d}.jpg"
        Image.fromarray(image).save(file, quality=90)
        rows.append((name, "train", str(file), height, width, ";".join(classes)))
        stored.append(ImageCams(name, np.arange(labels - 1), maps[:, ::4, ::4], maps, height, width))
    table = pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    write_cam_store(folder / "cams.h5", classes, {}, stored)
    return DatasetIndex(classes, table), folder / "cams.h5"


def refine_all(shard: DatasetIndex, store: Path, folder: Path, processes: int) -> dict[str, Path]:
    """The label maps of all images, made in several processes."""
    manifest = folder / "labels" / "000-of-001.csv"
    with CamStoreReader([store]) as cams:
        refine_seeds(BACKGROUND, Crf(), shard, cams, manifest, run=Run(threads=processes))
    return read_label_manifest([manifest])


def start_processes(shard: DatasetIndex, store: Path, processes: int) -> None:
    """Start as many workers as in ``refine_all``, read class maps and stop."""
    with CamStoreReader([store]) as cams:
        function = partial(label_map_of_stored_cams, cams=cams, make=no_work)
        arguments = [(path, image_id) for path, image_id in zip(shard.image_paths, shard.image_ids, strict=True)]
        with ImagePool(function, arguments.__getitem__, shard.image_ids[:processes], processes) as pool:
            for position in range(min(processes, len(shard))):
                pool(position)


def line_of(name: str, wall: float, share: Share) -> str:
    """The line about one run."""
    others = "" if share.others is None else f", others {share.others:.2f}"
    used = f"processor time {wall * share.own:.2f} s"
    return f"{name}: {wall:.2f} s, {used}; cores busy: own {share.own:.2f}{others}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Refine the same images both ways and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crf", description=__doc__)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--labels", type=int, default=3, help="including the background (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="worker processes (default: cores)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default: 3)")
    options = parser.parse_args(arguments)
    print(heading(options.threads))
    print(
        f"{options.images} images of {options.height}x{options.width}, {options.labels} labels, {Crf()!r}", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        compare(options, Path(name))


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Run both sides in turn and print all figures."""
    shard, store = make_shard(folder, options.images, options.height, options.width, options.labels)
    several = f"{options.threads} processes"
    times: dict[str, list[float]] = {"one process": [], several: [], "start": []}
    used: dict[str, list[float]] = {side: [] for side in times}
    differing = 0
    for turn in range(options.rounds):
        made = {}
        for side, processes in (("one process", 1), (several, options.threads)):
            target = folder / f"{turn}-{processes}"
            made[side], wall, share = processor_shares(partial(refine_all, shard, store, target, processes))
            times[side].append(wall)
            used[side].append(wall * share.own)
            print(line_of(side, wall, share), flush=True)
        _, wall, share = processor_shares(partial(start_processes, shard, store, options.threads))
        times["start"].append(wall)
        used["start"].append(wall * share.own)
        print(line_of(f"start of {several}", wall, share), flush=True)
        differing += sum(
            int(np.count_nonzero(read_mask(made["one process"][image]) != read_mask(made[several][image])))
            for image in shard.image_ids
        )
    one, many, start = (statistics.median(column) for column in times.values())
    print(f"medians of {options.rounds}: one {one:.2f} s, {several} {many:.2f} s, their start {start:.2f} s")
    ratio = one / (many - start)
    one_used, many_used, start_used = (statistics.median(column) for column in used.values())
    at_most = options.threads * one_used / (many_used - start_used)
    print(f"ratio if no process had to wait, from processor times without the start: {at_most:.2f}")
    print(f"ratio {one / many:.2f} with the start, {ratio:.2f} without; goal {GOAL * options.threads:.2f}")
    print("deviation: proportion of pixels with another label")
    pixels = options.rounds * options.images * options.height * options.width
    print(last_line(ratio, differing / pixels))


if __name__ == "__main__":
    main()
