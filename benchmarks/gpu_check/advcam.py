"""Compares AdvCAM, from JPEG files to HDF5, with the authors' procedure on the same images and device.

The authors' side is ``benchmarks.advcam.authors_climb``: one image, class and scale after the other, with two backward
passes for each step that compute the gradients of all weights. Its time is without writing. In float64 both sides have
to give the same maps.
"""

import copy
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from benchmarks.advcam import authors_climb, deviation_of_climb, make_classifier
from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.load import ARITHMETICS, measured
from benchmarks.shard import Shard
from wsss_core.cams.advcam import steps_at_scale
from wsss_core.config.cams import AdvCams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.jobs.numerics import apply_numerics
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.folded import folded_for_inference

EXACT_SIZE = (64, 96)
EXACT = 1e-9
"""Allowed deviation of maps in float64."""


def rows(given: Given) -> Iterator[Row]:
    """A row for each side and arithmetic."""
    network, size = ("resnet_small", (64, 96)) if given.small else ("resnet50", (375, 500))
    images, alone = (2, 1) if given.small else (16, 2)
    whole = AdvCams(classifier="random", **({"steps": 2, "scales": (0.5, 1.0)} if given.small else {}))
    classifier = make_classifier(network)
    shard = Shard(given.folder, classifier, images, *size)
    classifier = classifier.to(given.device)
    yield tried("maps in float64", partial(exact, classifier, given))
    for arithmetic in ("float32", "tf32"):
        yield tried(
            f"authors' procedure, {arithmetic}", partial(theirs, classifier, shard, whole, alone, arithmetic, given)
        )
    for arithmetic in ARITHMETICS:
        yield tried(f"ours, {arithmetic}", partial(ours, shard, whole, images, arithmetic, given))


def exact(classifier: ClassMapClassifier, given: Given) -> Row:
    """Compare both sides' maps in float64."""
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(3, *EXACT_SIZE, generator=generator, dtype=torch.float64).to(given.device)
    double = copy.deepcopy(classifier).double()
    deviation = deviation_of_climb(double, folded_for_inference(copy.deepcopy(double)), clean)
    fault = "" if deviation <= EXACT else f"both sides' maps differ by {deviation:.3g} of their maximum"
    return Row("maps in float64", {"deviation": deviation}, fault)


def theirs(
    classifier: ClassMapClassifier, shard: Shard, whole: AdvCams, images: int, arithmetic: str, given: Given
) -> Row:
    """Measure the authors' climb on the first images."""

    def climb(steps: int) -> None:
        for number in range(images):
            image = read_image(shard.index.image_paths[number])
            for scale in whole.scales:
                clean = normalise(rescale(image, scale)).to(given.device)
                for label in np.flatnonzero(shard.index.label_matrix[number]):
                    authors_climb(classifier, clean, int(label), steps_at_scale(steps, scale))

    apply_numerics(Run(), given.device, arithmetic)
    found = measured(partial(climb, whole.steps), given.device, partial(climb, 2))
    return found.row(f"authors' procedure, {arithmetic}", images)


def ours(shard: Shard, whole: AdvCams, images: int, arithmetic: str, given: Given) -> Row:
    """Measure the stage on all images."""
    settings = whole.model_copy(update={"arithmetic": arithmetic})
    first = settings.model_copy(update={"steps": 2})
    run, warm = (partial(shard.draw, parameters, given.device) for parameters in (settings, first))
    return measured(run, given.device, warm).row(f"ours, {arithmetic}", images)
