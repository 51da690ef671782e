"""Stage `classifier`: trains a network on image-level labels to predict the classes of images."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.classifiers.objective import OBJECTIVES, Objective
from wsss_core.config.classifiers import Classifier
from wsss_core.config.networks import Trunk
from wsss_core.config.training import Augmentation
from wsss_core.datasets.augmentation import TrainingTransform
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.weights import load_trunk
from wsss_core.training.distributed import number_of_processes
from wsss_core.training.frozen import frozen_copy
from wsss_core.training.make_weights import Prepared, make_weights
from wsss_core.training.task import Task

log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class StartingWeights:
    """The files of weights for the start of a training; at least one of the first two is given."""

    backbone: Path | None = None
    """The trunk's weights."""
    classifier: Path | None = None
    """Weights of a classifier with the same trunk; its last layers are used too, if names and shapes agree."""
    ordinary: Path | None = None
    """Weights of the frozen ordinary classifier, for objectives that need one."""


def train_classifier(
    parameters: Classifier,
    trunk: Trunk,
    index: DatasetIndex,
    start: StartingWeights,
    weights: Path,
    training_csv: Path,
    run: Run = Run(),
) -> None:
    """Train a classifier; a killed run continues after its last finished epoch.

    Args:
        parameters: objective, optimisation, augmentation.
        trunk: the trunk's settings.
        index: the training images and their labels.
        start: the weights to start from.
        weights: the file of weights to write.
        training_csv: the training curve to write: epoch, losses, learning rate.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the weights do not fit, or the loss is no longer finite.
    """
    optimisation = parameters.optimisation

    def prepare(device: torch.device) -> Prepared:
        chosen = OBJECTIVES.find(parameters.objective)  # type: ignore[attr-defined]
        network = chosen.build_network(parameters, trunk, index.classes)
        _start(network, chosen, parameters, start)
        ordinary = None
        if start.ordinary is not None:
            ordinary = load_classifier(start.ordinary, classes=index.classes)
            ordinary = frozen_copy(ordinary, device, optimisation.precision)
        objective = chosen(network, parameters, ordinary)
        _refuse_coupled_images(objective)

        def prepare_batch(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            objective.prepare(batch[1])
            return batch

        def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
            images, labels = batch
            return objective.losses(images, labels, epoch)

        samples = LabelledImages(index, parameters.augmentation)
        description, batch_size = "training the classifier", objective.batch_size
        groups = objective.parameter_groups()
        task = Task(network, samples, loss, groups, description, batch_size, prepare=prepare_batch)
        return Prepared(task, lambda path: save_classifier(path, network))

    make_weights(weights, training_csv, optimisation, run, prepare)


def _start(
    network: ClassMapClassifier, objective: type[Objective], parameters: Classifier, start: StartingWeights
) -> None:
    """Load the network's first weights, and freeze the layers that are not trained."""
    if start.classifier is not None:
        imported = parameters.optimisation.epochs == 0
        objective.start_from(start.classifier, network, whole=imported)
    elif start.backbone is not None:
        load_trunk(start.backbone, network.trunk)
        network.begin_from_trunk()
    network.train()
    if parameters.freeze_batch_norm:
        freeze_batch_norm(network)
    if parameters.frozen_stem:
        network.trunk.freeze_stem()


def _refuse_coupled_images(objective: Objective) -> None:
    """Refuse several GPUs if the loss of an image depends on the other images of the step."""
    coupling = objective.coupling_of_images()
    if coupling is not None and number_of_processes() > 1:
        raise UserError(
            f"on {number_of_processes()} GPUs this training would be another method, as {coupling}; set "
            "resources.train_classifier.gpu to 1"
        )
