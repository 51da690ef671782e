"""Measures the speed of trainings, from JPEG files, as reported by the stages themselves.

Classifiers, an affinity network and segmenters train on a ResNet-50 with random weights and a tiny learning rate, with
the recipes' sizes of crops and batches.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas
import torch

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import Given, tried
from benchmarks.gpu_check.load import ARITHMETICS, GIB, load_of
from benchmarks.jpegs import CLASSES, FILES, write_jpegs
from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.classifiers import AeftClassifier, CgnetClassifier, OrdinaryClassifier
from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import Irn
from wsss_core.config.segmentation import DeepLabV2, DeepLabV3Plus, SegmenterOptimisation
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.index import COLUMNS, DatasetIndex
from wsss_core.datasets.palette import write_label_map
from wsss_core.jobs.measured import forget_figures, recorded_figures
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import save_weights
from wsss_core.refinement.train_affinity import train_affinity
from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter


class Sizes(NamedTuple):
    """Sizes of a training."""

    images: int
    """Images in a step."""
    crop: int


class Inputs:
    """Images, labels and starting weights, made once for all trainings."""

    def __init__(self, folder: Path, small: bool) -> None:
        """Write the files."""
        self.trunk = Trunk(network="resnet_small" if small else "resnet50", output_stride=8 if small else 16)
        size = (72, 96) if small else (375, 500)
        self._few = write_jpegs(folder, *size)
        self._masks = folder / "mask.png"
        write_label_map(self._masks, np.indices(size).sum(axis=0).astype(np.uint8) // 64 % 3)
        torch.manual_seed(0)
        self.backbone, self.ordinary = folder / "trunk.safetensors", folder / "ordinary.safetensors"
        save_weights(self.backbone, TrunkOnly(build_trunk(self.trunk)), {"kind": "backbone"})
        save_classifier(self.ordinary, ClassMapClassifier(self.trunk, CLASSES))

    def index(self, images: int) -> DatasetIndex:
        """An index with this number of images, which use the few files in turn."""
        few = list(zip(self._few.image_ids, self._few.image_paths, self._few.sizes, strict=True))
        rows = []
        for number in range(images):
            name, path, (height, width) = few[number % FILES]
            shown = np.flatnonzero(self._few.label_matrix[number % FILES])
            labels = ";".join(CLASSES[label] for label in shown)
            rows.append((f"{name}-{number}", "train", str(path), height, width, labels))
        return DatasetIndex(CLASSES, pandas.DataFrame(rows, columns=list(COLUMNS)))

    def labels(self, index: DatasetIndex) -> dict[str, Path]:
        """A label map for each image."""
        return dict.fromkeys(index.image_ids, self._masks)


Train = Callable[[Inputs, DatasetIndex, Sizes, str, tuple[Path, Path], Run], None]


def fitted(sizes: Sizes, precision: str) -> dict[str, Any]:
    """The optimisation: one epoch, in which the weights hardly change."""
    return {"epochs": 1, "batch_size": sizes.images, "learning_rate": 1e-12, "precision": precision}


def classifier(
    kind: Any, inputs: Inputs, index: DatasetIndex, sizes: Sizes, precision: str, made: tuple[Path, Path], run: Run
) -> None:
    """Train a classifier."""
    needs_ordinary = kind is CgnetClassifier
    settings = kind(
        backbone="any",
        optimisation=Optimisation(**fitted(sizes, precision)),
        augmentation=Augmentation(scale=(0.5, 1.5), crop=sizes.crop),
        **({"ordinary": "any"} if needs_ordinary else {}),
    )
    start = StartingWeights(inputs.backbone, ordinary=inputs.ordinary if needs_ordinary else None)
    train_classifier(settings, inputs.trunk, index, start, *made, run=run)


def recomputed(
    kind: Any, inputs: Inputs, index: DatasetIndex, sizes: Sizes, precision: str, made: tuple[Path, Path], run: Run
) -> None:
    """Train a classifier on ResNet-38 with ``runtime.recompute``, as in its recipe for 24 GB; AEFT with triplets."""
    small = sizes.crop < 64
    trunk = Trunk(network="resnet38_small" if small else "resnet38", output_stride=8)
    needs_ordinary = kind is CgnetClassifier
    settings = kind(
        backbone="any",
        optimisation=Optimisation(**fitted(sizes, precision) | {"batch_size": min(sizes.images, 8)}),
        augmentation=Augmentation(crop=sizes.crop),
        **({"ordinary": "any"} if needs_ordinary else {"warmup_epochs": 0, "triplet_batch_size": sizes.images}),
        **({"bins": (2, 4), "fewest_hard_triplets": 1} if small and not needs_ordinary else {}),
    )
    folder = made[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    backbone, ordinary = folder / "trunk38.safetensors", folder / "ordinary38.safetensors"
    save_weights(backbone, TrunkOnly(build_trunk(trunk)), {"kind": "backbone"})
    if needs_ordinary:
        save_classifier(ordinary, ClassMapClassifier(trunk, CLASSES))
    start = StartingWeights(backbone, ordinary=ordinary if needs_ordinary else None)
    train_classifier(settings, trunk, index, start, *made, run=replace(run, recompute=True))


def affinity(
    inputs: Inputs, index: DatasetIndex, sizes: Sizes, precision: str, made: tuple[Path, Path], run: Run
) -> None:
    """Train IRN."""
    settings = Irn(
        backbone="any",
        radius=3 if sizes.crop < 64 else 10,
        optimisation=Optimisation(**fitted(sizes, precision)),
        augmentation=Augmentation(scale=(0.5, 1.5), crop=sizes.crop),
    )
    train_affinity(settings, inputs.trunk, index, inputs.labels(index), inputs.backbone, *made, run=run)


def segmenter(
    kind: Any, inputs: Inputs, index: DatasetIndex, sizes: Sizes, precision: str, made: tuple[Path, Path], run: Run
) -> None:
    """Train a segmenter."""
    settings = kind(
        backbone="any",
        atrous_rates=(1, 2) if sizes.crop < 64 else kind.model_fields["atrous_rates"].default,
        optimisation=SegmenterOptimisation(**fitted(sizes, precision)),
        augmentation=Augmentation(scale=(0.5, 1.5), crop=sizes.crop),
    )
    labels, start = TrainingLabels(inputs.labels(index)), StartingNetwork(inputs.backbone, "nothing")
    train_segmenter(settings, inputs.trunk, index, labels, start, *made, run=run)


TRAININGS: dict[str, tuple[Sizes, Train]] = {
    "classifier ordinary": (Sizes(16, 512), partial(classifier, OrdinaryClassifier)),
    "classifier cgnet": (Sizes(16, 384), partial(classifier, CgnetClassifier)),
    "affinity irn": (Sizes(16, 512), affinity),
    "segmenter deeplabv2": (Sizes(10, 321), partial(segmenter, DeepLabV2)),
    "segmenter deeplabv3plus": (Sizes(16, 321), partial(segmenter, DeepLabV3Plus)),
}
RECOMPUTED: dict[str, tuple[Sizes, Train]] = {
    "classifier aeft, recomputed": (Sizes(32, 320), partial(recomputed, AeftClassifier)),
    "classifier cgnet, recomputed": (Sizes(8, 384), partial(recomputed, CgnetClassifier)),
}
"""Trainings in float32 with few steps, to measure their memory at the recipes' size."""
SMALL = Sizes(2, 48)
STEPS = 30
"""Steps of each training; the first two are not counted."""
FEW_STEPS = 5


def rows(given: Given) -> Iterator[Row]:
    """A row for each training and arithmetic."""
    folder = given.folder / "inputs"
    folder.mkdir()
    inputs = Inputs(folder, given.small)
    for number, (name, precision) in enumerate(
        [*((name, "float32") for name in RECOMPUTED), *((name, each) for name in TRAININGS for each in ARITHMETICS)]
    ):
        made = given.folder / str(number) / "weights.safetensors", given.folder / str(number) / "training.csv"
        yield tried(f"{name}, {precision}", partial(measured_training, name, precision, inputs, made, given))


def measured_training(name: str, precision: str, inputs: Inputs, made: tuple[Path, Path], given: Given) -> Row:
    """Train for some steps, and measure the speed, as reported by the stage, and the use of the device."""
    sizes, train = (TRAININGS | RECOMPUTED)[name]
    sizes, steps = (SMALL, 3) if given.small else (sizes, STEPS if name in TRAININGS else FEW_STEPS)
    index = inputs.index(sizes.images * steps)
    on_gpu = given.device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(given.device)
    forget_figures()
    run = Run([inputs.backbone], given.device.type, given.threads, workers=given.threads - 1 if on_gpu else 0)
    with load_of(given.device) as load:
        train(inputs, index, sizes, precision, made, run)
    speed = recorded_figures()["images_per_second"]
    for file in chain(made, made[0].parent.glob(".partial/*/*")):
        file.unlink()  # each has half a gigabyte
    return Row(
        f"{name}, {precision}",
        {
            "step": f"{sizes.images} images of {sizes.crop}x{sizes.crop}",
            "images/s": speed,
            "seconds per step": sizes.images / speed,
            "GiB": torch.cuda.max_memory_reserved(given.device) / GIB if on_gpu else None,
            "busy, %": load.mean,
        },
        load.fault,
    )
