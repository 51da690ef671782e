"""Stage `classifier`: a network that learns from image-level labels which classes an image shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.config.networks import Backbone, Classifier
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import TrainingTransform
from wsss_core.devices import choose_device
from wsss_core.networks.classifier import ClassMapClassifier, save_classifier
from wsss_core.networks.resnet import freeze_batch_norm
from wsss_core.networks.weights import load_trunk, trainable
from wsss_core.resume import PartialWork
from wsss_core.training.curve import write_curve
from wsss_core.training.loop import ParameterGroup, fit, mix_seed


class Objective(Protocol):
    """What a classifier is trained for."""

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """Named losses of a batch of images (B, 3, H, W) with labels (B, K); ``loss`` is minimised."""


OBJECTIVES: dict[str, Callable[[ClassMapClassifier], Objective]] = {"ordinary": OrdinaryObjective}
"""By the name that ``objective`` has in the configuration."""


class LabelledImages:
    """Training images with their image-level labels."""

    def __init__(self, index: DatasetIndex, augmentation: Augmentation) -> None:
        """Take the images and labels of ``index``."""
        self.paths = index.image_paths
        self.labels = torch.from_numpy(index.label_matrix).float()
        self.transform = TrainingTransform(augmentation)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, _ = self.transform(read_image(self.paths[index]))
        return image, self.labels[index]


def train_classifier(
    parameters: Classifier,
    backbone: Backbone,
    index: DatasetIndex,
    backbone_weights: Path,
    weights: Path,
    training_csv: Path,
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
    workers: int = 0,
) -> None:
    """Train a classifier; a killed run goes on after its last finished epoch.

    Args:
        parameters: objective, optimisation, augmentation.
        backbone: the trunk's settings.
        index: the training images and their labels.
        backbone_weights: the trunk's weights to start from.
        weights: the file of weights to make.
        training_csv: the training curve to make: epoch, losses, learning rate.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes that load images.

    Raises:
        UserError: the weights do not fit, or the loss is not finite any more.
    """
    optimisation = parameters.optimisation
    torch.manual_seed(mix_seed(optimisation.seed))
    classifier = ClassMapClassifier(backbone, index.classes)
    load_trunk(backbone_weights, classifier.trunk)
    classifier.train()
    if parameters.freeze_batch_norm:
        freeze_batch_norm(classifier)
    if parameters.frozen_stem:
        classifier.trunk.freeze_stem()
    objective = OBJECTIVES[parameters.objective](classifier)  # type: ignore[attr-defined]

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels = batch
        return objective.losses(images, labels, epoch)

    groups = [
        ParameterGroup(trainable(classifier.trunk), 1),
        ParameterGroup(classifier.head.parameters(), optimisation.head_factor),
    ]
    partial = PartialWork(weights.parent, "training", inputs)
    curve = fit(
        classifier,
        LabelledImages(index, parameters.augmentation),
        loss,
        groups,
        optimisation,
        partial,
        choose_device(device),
        workers,
        "training the classifier",
    )
    write_curve(curve, training_csv)
    save_classifier(weights, classifier)
    partial.finish()
