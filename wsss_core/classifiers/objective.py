"""The objectives of classifier training: their interface, and the registry."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from wsss_core.classifiers.starting_weights import start_from_classifier
from wsss_core.config.classifiers import Classifier
from wsss_core.config.networks import Trunk
from wsss_core.config.registry import Registry
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import trainable


class Objective(ABC):
    """Losses of a batch of images with image-level labels.

    A subclass registers itself: ``class CgnetObjective(Objective, name="cgnet")`` in the module
    ``wsss_core/classifiers/cgnet.py`` is found by its name for ``objective`` in the configuration.

    Attributes:
        network: the network to train.
        parameters: the objective's settings.
    """

    def __init_subclass__(cls, name: str) -> None:
        """Register the objective.

        Raises:
            UserError: another module of the package has this name.
        """
        super().__init_subclass__()
        OBJECTIVES.add(name, cls, cls.__module__)

    def __init__(
        self, network: ClassMapClassifier, parameters: Classifier, ordinary: ClassMapClassifier | None
    ) -> None:
        """Keep the network and the settings; ``ordinary`` is the frozen classifier, if the settings name one."""
        self.network, self.parameters = network, parameters

    @classmethod
    def build_network(cls, parameters: Classifier, trunk: Trunk, classes: Sequence[str]) -> ClassMapClassifier:
        """The network to train, with random weights."""
        del parameters
        return ClassMapClassifier(trunk, classes)

    @classmethod
    def start_from(cls, path: Path, network: ClassMapClassifier, whole: bool) -> None:
        """Load the weights of another classifier into ``network``, in place; see :func:`start_from_classifier`."""
        start_from_classifier(path, network, whole)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The parameters to optimise: the trunk, and the new layers with a rate larger by ``head_factor``."""
        return [
            ParameterGroup(trainable(self.network.trunk), 1),
            ParameterGroup(self.network.new_parameters(), self.parameters.optimisation.head_factor),
        ]

    def prepare(self, labels: Tensor) -> None:
        """Use the labels of the next batch while they are on the host: reading them from a GPU would wait for it.

        Args:
            labels: (B, K) float, on the CPU; see :meth:`losses`.
        """
        del labels

    @abstractmethod
    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, K) float, 1 if the image shows the class, else 0.
            epoch: from 0.

        Returns:
            Named scalars; ``loss`` is minimised, and all are in the training curve.
        """

    def coupling_of_images(self) -> str | None:
        """Why the loss of a batch is not the mean of its images' losses; None if it is.

        On several GPUs, each computes the loss of a part of the batch, and the mean is minimised. There, an objective
        with a reason is refused.
        """
        return None

    def batch_size(self, epoch: int) -> int:
        """Images in a step of an epoch, from 0."""
        del epoch
        return self.parameters.optimisation.batch_size


OBJECTIVES: Registry[type[Objective]] = Registry("wsss_core.classifiers", "classifiers")
"""The objectives by their name for ``objective`` in the configuration."""
