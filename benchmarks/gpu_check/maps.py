"""Compares multi-scale class maps, from JPEG files to HDF5, with IRN's procedure, one image and scale at a time."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.advcam import make_classifier
from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.load import ARITHMETICS, measured
from benchmarks.multiscale import largest_difference, one_after_the_other
from benchmarks.shard import Shard
from wsss_core.config.cams import MultiscaleCams
from wsss_core.jobs.numerics import apply_numerics
from wsss_core.jobs.run import Run

ALLOWED = {"float32": 2e-3, "tf32": 0.02, "bfloat16": 0.1}
"""Allowed deviations of maps, in [0, 1], from IRN's procedure in float32; maps are stored as float16."""


def rows(given: Given) -> Iterator[Row]:
    """A row for each side and arithmetic."""
    network, images, size = ("resnet_small", 2, (64, 96)) if given.small else ("resnet50", 64, (375, 500))
    classifier = make_classifier(network)
    shard, few = (
        Shard(made_folder(given.folder / name), classifier, number, *size)
        for name, number in (("all", images), ("few", max(1, images // 8)))  # IRN's time for each image is constant
    )
    for arithmetic in ("float32", "tf32"):
        yield tried(f"IRN's procedure, {arithmetic}", partial(theirs, few, arithmetic, given))
    for arithmetic in ARITHMETICS:
        yield tried(f"ours, {arithmetic}", partial(ours, shard, few, arithmetic, given))


def made_folder(folder: Path) -> Path:
    """Make an empty folder."""
    folder.mkdir()
    return folder


def theirs(few: Shard, arithmetic: str, given: Given) -> Row:
    """Measure IRN's procedure on the first images."""
    apply_numerics(Run(), given.device, arithmetic)
    run = partial(one_after_the_other, few, MultiscaleCams(classifier="random"), given.device)
    return measured(run, given.device).row(f"IRN's procedure, {arithmetic}", len(few.index))


def ours(shard: Shard, few: Shard, arithmetic: str, given: Given) -> Row:
    """Measure the stage on all images, and the deviation of the first ones' maps from IRN's procedure."""
    settings = MultiscaleCams(classifier="random", arithmetic=arithmetic)
    made = shard.draw(settings, given.device)
    found = measured(partial(shard.draw, settings, given.device), given.device, lambda: None)
    apply_numerics(Run(), given.device)
    expected = one_after_the_other(few, MultiscaleCams(classifier="random"), given.device)
    deviation = largest_difference(few, made, expected)
    row = found.row(f"ours, {arithmetic}", len(shard.index), deviation=deviation)
    if not deviation <= ALLOWED[arithmetic]:
        row.fault = f"maps deviate by {deviation:.3g} from those of IRN's procedure"
    return row
