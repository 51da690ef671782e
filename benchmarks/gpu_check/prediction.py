"""Compares predictions of a DeepLabV3+ on ResNet-50, from JPEG to PNG, with a plain loop over images."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.load import ARITHMETICS, measured
from benchmarks.gpu_check.needed import has_crf
from benchmarks.prediction import make_shard, plain_predict
from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.jobs.numerics import apply_numerics
from wsss_core.jobs.run import Run
from wsss_core.segmentation.predict import predict

ALLOWED = {"float32": 1e-3, "tf32": 0.02, "bfloat16": 0.1}
"""Allowed proportions of pixels with another label than the plain loop's in float32."""


class Shard:
    """Images to predict, and a new folder for each run."""

    def __init__(self, given: Given) -> None:
        """Write the images and the segmenter."""
        images, size, network, stride = (3, (64, 96), "resnet_small", 8) if given.small else (
            48, (375, 500), "resnet50", 16,
        )  # fmt: skip
        self.given, self._runs = given, count()
        scales = (1.0,) if given.small else Prediction().scales
        self.plainly, self.with_crf = Prediction(scales=scales, crf=None), Prediction(scales=scales)
        self.index = make_shard(given.folder, images, *size, network, stride)
        self.few = self.index.shard(0, max(1, images // 8))
        self.weights = given.folder / "weights.safetensors"

    def ours(self, parameters: Prediction, index: DatasetIndex) -> Path:
        """Predict by the stage; returns the folder of label maps."""
        folder = self.given.folder / f"run{next(self._runs)}" / "labels"
        run = Run([self.weights], self.given.device.type, self.given.threads)
        predict(parameters, index, self.weights, folder / "shard.csv", run=run)
        return folder

    def plain(self, parameters: Prediction) -> Path:
        """Predict a few images by the plain loop; returns the folder of label maps."""
        folder = self.given.folder / f"run{next(self._runs)}"
        plain_predict(parameters, self.few, self.weights, folder, self.given.device.type)
        return folder / "labels"


def rows(given: Given) -> Iterator[Row]:
    """A row for each side and arithmetic, and one with the CRF."""
    shard = Shard(given)
    for arithmetic in ("float32", "tf32"):
        yield tried(f"plain loop, {arithmetic}", partial(theirs, shard, arithmetic))
    for arithmetic in ARITHMETICS:
        yield tried(f"ours, {arithmetic}", partial(ours, shard, arithmetic))
    what = f"ours with CRF, {given.threads} threads, float32"
    yield tried(what, partial(with_crf, shard, what)) if has_crf() else Row(what, skipped="no pydensecrf")


def theirs(shard: Shard, arithmetic: str) -> Row:
    """Measure the plain loop, without the CRF."""
    apply_numerics(Run(), shard.given.device, arithmetic)
    run = partial(shard.plain, shard.plainly)
    return measured(run, shard.given.device).row(f"plain loop, {arithmetic}", len(shard.few))


def ours(shard: Shard, arithmetic: str) -> Row:
    """Measure the stage without the CRF, and the proportion of other labels."""
    parameters = shard.plainly.model_copy(update={"arithmetic": arithmetic})
    found = measured(partial(shard.ours, parameters, shard.index), shard.given.device)
    made = shard.ours(parameters, shard.few)
    apply_numerics(Run(), shard.given.device)
    expected = shard.plain(shard.plainly)
    files = [f"{name}.png" for name in shard.few.image_ids]
    other = float(np.mean([(read_mask(made / file) != read_mask(expected / file)).mean() for file in files]))
    row = found.row(f"ours, {arithmetic}", len(shard.index), other_labels=other)
    if not other <= ALLOWED[arithmetic]:
        row.fault = f"{other:.2%} of the labels differ from the plain loop's"
    return row


def with_crf(shard: Shard, what: str) -> Row:
    """Measure the stage on a few images, with the CRF in other processes."""
    run = partial(shard.ours, shard.with_crf, shard.few)
    return measured(run, shard.given.device).row(what, len(shard.few))
