"""Makes artifacts of every kind of file, again and again: `make_artifacts.py INPUTS RESULTS ROUNDS`.

Start the first process alone: it makes the inputs.
"""

import logging
import random
import sys
import time
from pathlib import Path

import numpy as np

import wsss_core.cams.generate_cams as cams_stage
from tests.refinement.tiny_data import TRUNK, index_of_images, true_labels, write_images, write_trunk
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.classifiers import OrdinaryClassifier
from wsss_core.config.dataset import Creatures
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.creatures.creatures import generate_creatures
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.jobs.run import Run

logging.basicConfig(level="INFO", stream=sys.stdout)
inputs, results, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
cams_stage.BLOCK_IMAGES = 1
trunk = inputs / "trunk.safetensors"
index = index_of_images(inputs / "images") if trunk.exists() else write_images(inputs / "images")
optimisation = Optimisation(optimizer="adamw", epochs=3, batch_size=3, learning_rate=1e-3)
parameters = OrdinaryClassifier(backbone="any", optimisation=optimisation, augmentation=Augmentation(crop=32))


def classifier(folder: Path) -> list[Path]:
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    start = StartingWeights(backbone=trunk)
    train_classifier(parameters, TRUNK, index, start, weights, curve, run=Run(inputs=[trunk], device="cpu"))
    return [weights, curve]


def cams(folder: Path) -> list[Path]:
    shard = folder / "shards" / "000-of-001.h5"
    settings = MultiscaleCams(classifier="any", scales=(1.0,))
    cams_stage.generate_cams(settings, index, inputs / "classifier" / "weights.safetensors", shard, Run([trunk], "cpu"))
    return [shard]


def label_maps(folder: Path) -> list[Path]:
    def make(position: int) -> np.ndarray:
        time.sleep(random.uniform(0, 0.01))
        return true_labels(index.image_ids[position])

    manifest = folder / "labels" / "000-of-001.csv"
    write_label_maps(index, make, manifest, [trunk], "making label maps")
    return [manifest]


def creatures(folder: Path) -> list[Path]:
    generate_creatures(folder, Creatures(train_images=6, val_images=1, size=32))
    return []


if not trunk.exists():
    write_trunk(trunk)
    classifier(inputs / "classifier")
for number in range(rounds):
    for stage in (classifier, cams, label_maps, creatures):
        folder = results / f"{number}" / stage.__name__
        time.sleep(random.uniform(0, 0.05))
        outputs = stage(folder)
        if number % 2 == 0:  # in the other rounds the other process may just have removed them
            assert all(output.exists() for output in outputs)
        elif random.random() < 0.5:
            for output in outputs:  # what Snakemake does before it starts a job again
                output.unlink(missing_ok=True)
            stage(folder)
