"""Stage `backbone`: a trunk's weights, from ImageNet, a file, pretraining or at random."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import PACKAGES, Backbone, Pretext
from wsss_core.config.trained_on import TRAINED_ON, backbone_trained_on
from wsss_core.config.training import Optimisation
from wsss_core.datasets.creatures.pretext import pretext_images
from wsss_core.datasets.transforms import normalise
from wsss_core.jobs.run import Run
from wsss_core.networks.imagenet_weights import imagenet_weights, trunk_from_torchvision
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.precision import single_precision
from wsss_core.networks.timm_trunk import TimmTrunk
from wsss_core.networks.timm_weights import load_package_weights, load_timm_file, load_timm_weights
from wsss_core.networks.token_trunk import TokenTrunk
from wsss_core.networks.trunk_network import TrunkNetwork
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import is_of_this_workflow, load_state, load_trunk, save_weights
from wsss_core.training.loop import mix_seed
from wsss_core.training.make_weights import Prepared, make_weights
from wsss_core.training.task import Task


class TrunkOnly(nn.Module):
    """A network that has only a trunk, under the usual name."""

    def __init__(self, trunk: TrunkNetwork) -> None:
        """Hold ``trunk``."""
        super().__init__()
        self.trunk = trunk


class PretextNetwork(TrunkOnly):
    """A trunk and a linear layer that classifies the pretext images."""

    def __init__(self, trunk: TrunkNetwork, classes: int) -> None:
        """Put a randomly initialised head on ``trunk``."""
        super().__init__(trunk)
        self.head = nn.Linear(trunk.channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W)."""
        return single_precision(self.head(self.trunk(images)[-1].mean(dim=(2, 3))))


class PretextSamples:
    """The generated pretext images, half of them mirrored at random."""

    def __init__(self, settings: Pretext) -> None:
        """Generate the images."""
        images, labels, self.classes = pretext_images(settings.images, settings.size, settings.data_seed)
        self.images = [normalise(image) for image in images]
        self.labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index]
        return (image.flip(2) if torch.rand(()) < 0.5 else image), self.labels[index]


def prepare_backbone(
    parameters: Backbone,
    weights: Path,
    training_csv: Path,
    run: Run = Run(),
) -> None:
    """Write a trunk's weights and the curve of their training (empty without a training).

    Args:
        parameters: network and source of its weights.
        weights: the file of weights to write.
        training_csv: the training curve to write.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: ImageNet's weights cannot be fetched, or a given file does not fit the network.
    """
    pretext = parameters.pretext
    optimisation = Optimisation(epochs=0) if pretext is None else pretext.optimisation

    def prepare(device: torch.device) -> Prepared:
        torch.manual_seed(mix_seed(parameters.seed))
        trunk = build_trunk(parameters)
        if pretext is None:
            _load_source(trunk, parameters)
        task = None if pretext is None else _pretext_task(trunk, pretext)
        return Prepared(task, lambda path: _save_backbone(path, trunk, parameters))

    make_weights(weights, training_csv, optimisation, run, prepare)


def _pretext_task(trunk: TrunkNetwork, settings: Pretext) -> Task:
    """The training on the pretext classes."""
    samples = PretextSamples(settings)
    network = PretextNetwork(trunk, len(samples.classes)).train()

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        images, labels = batch
        return {"loss": functional.cross_entropy(network(images), labels)}

    groups = [
        ParameterGroup(list(trunk.parameters()), 1),
        ParameterGroup(network.head.parameters(), settings.optimisation.head_factor),
    ]
    return Task(network, samples, loss, groups, "pretraining")


def _save_backbone(path: Path, trunk: TrunkNetwork, parameters: Backbone) -> None:
    description = {"kind": "backbone", "backbone": parameters.model_dump(mode="json")}
    if (trained_on := backbone_trained_on(parameters)) is not None:
        description[TRAINED_ON] = trained_on
    save_weights(path, TrunkOnly(trunk), description)


def _load_source(trunk: TrunkNetwork, parameters: Backbone) -> None:
    """Load the weights that the settings name, unless they are random."""
    if parameters.weights == "imagenet" and parameters.model is None:
        _load_imagenet(trunk, parameters.network)
    elif parameters.weights != "scratch":
        _load_given(trunk, parameters)


def _load_given(trunk: TrunkNetwork, parameters: Backbone) -> None:
    """Load weights of timm or another package, or of a file: this workflow's or timm's."""
    weights, model = parameters.weights, parameters.model
    if not isinstance(trunk, TimmTrunk | TokenTrunk):
        load_trunk(weights, trunk)
    elif weights in PACKAGES and isinstance(trunk, TimmTrunk):
        load_package_weights(trunk, weights)
    elif weights == "imagenet":
        load_timm_weights(trunk, str(model))
    elif is_of_this_workflow(weights):
        load_trunk(weights, trunk)
    else:
        load_timm_file(trunk, weights)


def _load_imagenet(trunk: TrunkNetwork, name: str) -> None:
    """Load torchvision's weights into the trunk's layers."""
    state, file = imagenet_weights(name)
    load_state(trunk, trunk_from_torchvision(state, name), file)
