"""Compares a classifier's training, from JPEGs, with a simple loop with the same network, images and order.

``python -m benchmarks.training`` trains a ResNet-50 with random weights on generated JPEGs of 375x500 pixels. Steps of
both sides alternate, and the medians are compared. The default objective is CGNet's, in which a frozen ordinary
classifier judges the erased images.

* The plain loop is as in the authors' code: weights in torch's default memory format, a frozen classifier whose weights
  collect unused gradients, torch's default optimiser, and a plain ``DataLoader``.
* Ours is ``wsss_core.training.loop.fit`` as in the stage `classifier`: channels-last, the frozen classifier as a folded
  copy without gradients, a fused optimiser, and autocast with ``--precision bfloat16``.

Both use the same number of ``--workers`` for loading: on the CPU by default none, so that each step loads its own
images; with workers, each side loads while the other side computes, so that loading costs neither any time.

``deviation`` is the distance between both sides' weights after a few steps in float64, at a small size, divided by the
distance that they moved; with ``--precision bfloat16``, the steps use that precision, and this is its effect.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.advcam import Times, share_in_convolutions
from benchmarks.jpegs import CLASSES, FILES, write_jpegs
from benchmarks.measuring import heading, last_line, torch_threads, wait_for
from wsss_core.classifiers.objective import OBJECTIVES, Objective
from wsss_core.classifiers.train_classifier import LabelledImages
from wsss_core.config.classifiers import CgnetClassifier, Classifier, OrdinaryClassifier
from wsss_core.config.networks import Trunk
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.resume import PartialWork
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import trainable
from wsss_core.training.batches import EpochBatches, SeededSamples, mix_seed
from wsss_core.training.frozen import frozen_copy
from wsss_core.training.loop import fit, learning_rate_factor
from wsss_core.training.task import Task

EXACT_SIZE, EXACT_IMAGES, EXACT_STEPS = 64, 2, 3
"""Crop, images in a step and number of steps for the comparison in float64."""
CPU = torch.device("cpu")


class ImagesInTurn:
    """A given number of samples from a few files."""

    def __init__(self, files: LabelledImages, number: int, dtype: torch.dtype = torch.float32) -> None:
        """Set the files, the number of samples and their dtype."""
        self.files, self.number, self.dtype = files, number, dtype

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = self.files[index % len(self.files)]
        return image.to(self.dtype), labels.to(self.dtype)


def settings_of(objective: str, images: int, crop: int, precision: str) -> Classifier:
    """CGNet's published settings except the size, for both objectives."""
    usual = CgnetClassifier(backbone="random", ordinary="random")
    changed = {"epochs": 1, "batch_size": images, "precision": precision}
    kinds = {"cgnet": {"ordinary": "random"}, "ordinary": {}}
    kind = CgnetClassifier if objective == "cgnet" else OrdinaryClassifier
    return kind(
        backbone="random",
        optimisation=Optimisation(**{**usual.optimisation.model_dump(), **changed}),
        augmentation=Augmentation(**{**usual.augmentation.model_dump(), "crop": crop}),
        **kinds[objective],
    )


def make_objective(
    settings: Classifier, network: str, plain: bool, device: torch.device, dtype: torch.dtype = torch.float32
) -> Objective:
    """The objective with a network to train and, if needed, a frozen classifier, with fixed random weights.

    Args:
        settings: of the objective.
        network: a trunk's name.
        plain: let the frozen classifier's weights require gradients, as in the authors' code.
        device: of both networks.
        dtype: of their weights.
    """
    torch.manual_seed(0)
    trunk = Trunk(network=network, output_stride=16 if network.startswith("resnet5") else 8)
    trained = ClassMapClassifier(trunk, CLASSES).to(dtype).train()
    freeze_batch_norm(trained)
    trained.trunk.freeze_stem()
    kind = OBJECTIVES.find(settings.objective)  # type: ignore[attr-defined]
    if not isinstance(settings, CgnetClassifier):
        return kind(trained.to(device), settings, None)
    ordinary = ClassMapClassifier(trunk, CLASSES).to(device, dtype).eval()
    frozen = ordinary if plain else frozen_copy(ordinary, device, settings.optimisation.precision)
    objective = kind(trained.to(device), settings, frozen)
    if plain:
        ordinary.requires_grad_(True)
    return objective


def groups_of(objective: Objective) -> list[ParameterGroup]:
    """The parameters to optimise, as in the stage `classifier`."""
    network = objective.network
    return [ParameterGroup(trainable(network.trunk), 1), ParameterGroup(network.new_parameters(), 1)]


def plain_steps(objective: Objective, samples: ImagesInTurn, device: torch.device, workers: int = 0) -> Iterator[float]:
    """Run the steps of an epoch as in the authors' scripts; yields the losses."""
    optimisation = objective.parameters.optimisation
    optimizer = torch.optim.SGD(
        groups_of(objective),
        lr=optimisation.learning_rate,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
    )
    batches = EpochBatches(len(samples), objective.batch_size, optimisation.seed)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        SeededSamples(samples, optimisation.seed),
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        generator=torch.Generator(),
    )
    torch.manual_seed(mix_seed(optimisation.seed, 0, -1))  # as in ours, for random classes
    for step, (images, labels) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = optimisation.learning_rate * learning_rate_factor(step, len(batches), optimisation)
        loss = objective.losses(images.to(device), labels.to(device), 0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def own_steps(
    objective: Objective,
    samples: ImagesInTurn,
    device: torch.device,
    workers: int = 0,
    before_each: Callable[[], object] = lambda: None,
) -> None:
    """Run the steps of an epoch as in this package; each step calls ``before_each`` when it has its images."""

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        before_each()
        return objective.losses(*batch, epoch)

    def prepare(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        objective.prepare(batch[1])
        return batch

    optimisation = objective.parameters.optimisation
    with tempfile.TemporaryDirectory() as folder:
        partial = PartialWork(folder, "training", [])
        task = Task(objective.network, samples, loss, groups_of(objective), prepare=prepare)
        fit(task, optimisation, partial, device, workers)


class Turns:
    """Runs a step of the plain side at the start of each of ours, and times both."""

    def __init__(self, plain: Iterator[float], device: torch.device) -> None:
        """Set the steps of the plain side."""
        self._steps, self._device = plain, device
        self._began: Times | None = None
        self.plain: list[Times] = []
        self.own: list[Times] = []

    def take(self) -> None:
        """End our step, run one of the plain side, and start our next step."""
        now = self._now()
        if self._began is not None:
            self.own.append(_since(self._began, now))
        next(self._steps)
        self._began = self._now()
        self.plain.append(_since(now, self._began))

    def medians(self) -> list[Times]:
        """The medians of the plain side and ours, without the first step of each."""
        return [
            Times(*(statistics.median(column) for column in zip(*times[1:], strict=True)))
            for times in (self.plain, self.own)
        ]

    def _now(self) -> Times:
        wait_for(self._device)
        return Times(time.perf_counter(), time.process_time())


def _since(start: Times, end: Times) -> Times:
    return Times(end.wall - start.wall, end.processor - start.processor)


def deviation(index: DatasetIndex, objective: str, network: str, precision: str) -> float:
    """The distance between both sides' weights after some steps, divided by the distance that the plain side moved."""
    dtype = torch.float64 if precision == "float32" else torch.float32
    settings = settings_of(objective, EXACT_IMAGES, EXACT_SIZE, precision)
    files = LabelledImages(index, settings.augmentation)
    samples = ImagesInTurn(files, EXACT_IMAGES * EXACT_STEPS, dtype)
    plain, own = (make_objective(settings, network, plain, CPU, dtype) for plain in (True, False))
    before = [weight.detach().clone() for weight in plain.network.parameters()]
    list(plain_steps(plain, samples, CPU))
    own_steps(own, samples, CPU)
    weights, others = (list(objective.network.parameters()) for objective in (plain, own))
    return _distance(weights, others) / _distance(weights, before)


@torch.no_grad()
def _distance(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    return sum((one - other).square().sum().item() for one, other in zip(ones, others, strict=True)) ** 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on both sides in turn and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--objective", choices=["cgnet", "ordinary"], default="cgnet")
    parser.add_argument("--network", default="resnet50", help="a trunk's name (default: resnet50)")
    parser.add_argument("--height", type=int, default=375, help="of the JPEGs (default: 375)")
    parser.add_argument("--width", type=int, default=500, help="of the JPEGs (default: 500)")
    parser.add_argument("--crop", type=int, default=384, help="size of crops (default: 384, CGNet's)")
    parser.add_argument("--images", type=int, default=4, help="in a step (default: 4)")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each side (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch's, on both sides (default: cores)")
    parser.add_argument("--workers", type=int, help="that load images (default: 0; on cuda cores minus 1)")
    parser.add_argument("--device", type=torch.device, default=CPU, help="cpu (default) or cuda")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of our side")
    options = parser.parse_args(arguments)
    if options.workers is None:
        options.workers = (os.cpu_count() or 1) - 1 if options.device.type == "cuda" else 0
    with torch_threads(options.threads), tempfile.TemporaryDirectory() as folder:
        compare(options, write_jpegs(Path(folder), options.height, options.width))


def compare(options: argparse.Namespace, index: DatasetIndex) -> None:
    """Print all figures."""
    device, images = options.device, options.images
    print(heading(options.threads, device))
    print(
        f"{options.objective} on {options.network}, random weights, {len(CLASSES)} classes; steps of {images} images, "
        f"JPEGs of {options.height}x{options.width}, crops of {options.crop}, {options.precision}, "
        f"{options.workers} workers",
        flush=True,
    )
    settings = settings_of(options.objective, images, options.crop, options.precision)
    files = LabelledImages(index, settings.augmentation)
    # One more step, which is not counted, and another because our step ends at the start of the next one.
    samples = ImagesInTurn(files, images * (options.steps + 2))
    plain, own = (make_objective(settings, options.network, plain, device) for plain in (True, False))
    turns = Turns(plain_steps(plain, samples, device, options.workers), device)
    own_steps(own, samples, device, options.workers, turns.take)
    for name, times in zip(("plain loop", "ours"), turns.medians(), strict=True):
        rate = f"{images / times.wall:.2f} images/s" + (
            f", {times.processor:.3f} s of processor time" if device.type == "cpu" else ""
        )
        print(f"{name}: {times.wall:.4f} s a step (median of {options.steps}), {rate}", flush=True)
    theirs, ours = turns.medians()
    busy = theirs.processor / ours.processor
    print(f"ratio of wall times {theirs.wall / ours.wall:.2f}, of processor times of this process {busy:.2f}")
    start = time.process_time()
    batch = [files[number] for number in range(FILES)]
    loading = (time.process_time() - start) / FILES
    print(
        f"loading an image (decoding, resizing, colours, crop, normalising): processor time {1000 * loading:.1f} ms, "
        f"{100 * loading * images / ours.wall:.1f} % of our step without workers"
    )
    pixels, labels = (torch.stack(part[:images]).to(device) for part in zip(*batch, strict=True))

    def forward_and_backward() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = own.losses(pixels, labels, 0)["loss"]
        loss.backward()

    print(f"time in convolutions: {100 * share_in_convolutions(forward_and_backward, device):.0f} % of our operations")
    found = deviation(index, options.objective, options.network, options.precision)
    arithmetic = "float64" if options.precision == "float32" else "float32 against bfloat16"
    size = f"{EXACT_STEPS} steps of {EXACT_IMAGES} crops of {EXACT_SIZE}"
    print(f"deviation of weights after {size}, {arithmetic}: {found:.3g}")
    print(last_line(theirs.wall / ours.wall, found))


if __name__ == "__main__":
    main()
