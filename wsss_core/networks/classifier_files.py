"""Files of classifiers: each describes its network, which is rebuilt from the file alone."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from wsss_core.config.extensions import file_of_extension, load_extension
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.weights import load_network, save_weights

KIND = "classifier"
"""The name of these networks in a file's description."""
_MODULES = {
    "class_tokens": "class_tokens",
    "gated_pyramid": "gated_pyramid",
    "self_erasing": "self_erasing",
    "text_features": "clip",
}
"""By architecture, the module in ``networks``, which is imported to read such a file."""


def save_classifier(path: Path | str, classifier: ClassMapClassifier) -> None:
    """Write a classifier to a .safetensors file from which it can be rebuilt."""
    save_weights(path, classifier, classifier_description(classifier))


def classifier_description(classifier: ClassMapClassifier) -> dict[str, Any]:
    """The description of a classifier in its file."""
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
        path: a file from :func:`save_classifier`.
        device: where to put the classifier.
        classes: the classes of the data set on which it is used; None for any.

    Returns:
        The classifier on ``device``, in evaluation mode; its parameters need no gradient.

    Raises:
        UserError: the file is missing, damaged, holds another kind of network or one for other classes; or the
            extension with the network's class is missing or fails.
    """

    def build(saved: dict[str, Any]) -> ClassMapClassifier:
        if "extension" in saved:
            load_extension(saved["extension"])
        architecture = saved["architecture"]
        if architecture not in ClassMapClassifier.known and architecture in _MODULES:
            import_module(f"wsss_core.networks.{_MODULES[architecture]}")
        network = ClassMapClassifier.known[architecture]
        return network(read_trunk(saved["trunk"]), saved["classes"], **saved["options"])

    classifier = load_network(path, KIND, build, device)
    if classes is not None and classifier.classes != tuple(classes):
        raise UserError(
            f"{path}: the classifier knows the classes {', '.join(classifier.classes)}; "
            f"the data set has {', '.join(classes)}"
        )
    return classifier
