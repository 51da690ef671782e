"""Files of classifiers: each says which network it holds, and is rebuilt without anything else."""

from pathlib import Path
from typing import Any

import torch

from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier
from wsss_core.networks.weights import load_network, save_weights

KIND = "classifier"
"""What a file's description calls these networks."""
ARCHITECTURES: dict[str, type[ClassMapClassifier]] = {
    network.architecture: network for network in (ClassMapClassifier, GatedPyramidClassifier, SelfErasingClassifier)
}
"""By the name that a file's description has for them."""


def save_classifier(path: Path | str, classifier: ClassMapClassifier) -> None:
    """Write a classifier to a .safetensors file that it can be rebuilt from."""
    save_weights(path, classifier, classifier_description(classifier))


def classifier_description(classifier: ClassMapClassifier) -> dict[str, Any]:
    """What a classifier's file says of it."""
    return {
        "kind": KIND,
        "architecture": classifier.architecture,
        "trunk": classifier.trunk_settings.model_dump(mode="json"),
        "classes": list(classifier.classes),
        "options": classifier.options(),
    }


def load_classifier(path: Path | str, device: torch.device | str = "cpu") -> ClassMapClassifier:
    """Rebuild a classifier from its file alone.

    Returns:
        The classifier on ``device``, in evaluation mode; its parameters need no gradient.

    Raises:
        UserError: the file is missing, damaged or holds another kind of network.
    """

    def build(saved: dict[str, Any]) -> ClassMapClassifier:
        return ARCHITECTURES[saved["architecture"]](Trunk(**saved["trunk"]), saved["classes"], **saved["options"])

    return load_network(path, KIND, build, device)
