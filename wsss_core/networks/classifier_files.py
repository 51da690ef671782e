"""Files of classifiers: each says which network it holds, and is rebuilt without anything else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wsss_core.config.extensions import file_of_extension, load_extension
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.errors import UserError
from wsss_core.networks import class_tokens, clip, gated_pyramid, self_erasing  # noqa: F401  they let their files be read
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.weights import load_network, save_weights

KIND = "classifier"
"""What a file's description calls these networks."""


def save_classifier(path: Path | str, classifier: ClassMapClassifier) -> None:
    """Write a classifier to a .safetensors file that it can be rebuilt from."""
    save_weights(path, classifier, classifier_description(classifier))


def classifier_description(classifier: ClassMapClassifier) -> dict[str, Any]:
    """What a classifier's file says of it."""
    return {
        "kind": KIND,
        "architecture": classifier.architecture,
        "trunk": describe_trunk(classifier.trunk_settings),
        "classes": list(classifier.classes),
        "options": classifier.options(),
        **({"extension": extension} if (extension := file_of_extension(type(classifier).__module__)) else {}),
    }


def load_classifier(
    path: Path | str, device: torch.device | str = "cpu", classes: Sequence[str] | None = None
) -> ClassMapClassifier:
    """Rebuild a classifier from its file alone.

    Args:
        path: a file of :func:`save_classifier`.
        device: where the classifier goes.
        classes: those of the data set it is used on; None for any.

    Returns:
        The classifier on ``device``, in evaluation mode; its parameters need no gradient.

    Raises:
        UserError: the file is missing, damaged, holds another kind of network or one for other classes; or the
            extension that the network's class comes from is gone or fails.
    """

    def build(saved: dict[str, Any]) -> ClassMapClassifier:
        if "extension" in saved:
            load_extension(saved["extension"])
        network = ClassMapClassifier.known[saved["architecture"]]
        return network(read_trunk(saved["trunk"]), saved["classes"], **saved["options"])

    classifier = load_network(path, KIND, build, device)
    if classes is not None and classifier.classes != tuple(classes):
        raise UserError(
            f"{path}: the classifier knows the classes {', '.join(classifier.classes)}; "
            f"the data set has {', '.join(classes)}"
        )
    return classifier
