"""Starts a classifier from the weights of another one."""

import logging
from pathlib import Path
from typing import Any

from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import classifier_description, load_classifier
from wsss_core.networks.weights import load_trunk

log = logging.getLogger(__name__)


def start_from_classifier(path: Path, network: ClassMapClassifier, whole: bool) -> None:
    """Load the weights of another classifier into ``network``, in place.

    Args:
        path: a file written by :func:`save_classifier`.
        network: any classifier with the same trunk.
        whole: require the whole network, for the same classes; else the trunk is enough.

    Raises:
        UserError: the file is missing, damaged or for another trunk, or incomplete although ``whole``.
    """
    other = load_classifier(path)
    if whole:
        given, wanted = (_what_is_computed(classifier) for classifier in (other, network))
        if given != wanted:
            differences = (f"{key} is {given[key]}, not {wanted[key]}" for key in wanted if given[key] != wanted[key])
            raise UserError(
                f"{path}: holds another classifier than the one to use without training: {'; '.join(differences)}"
            )
        network.load_state_dict(other.state_dict())
        return
    load_trunk(path, network.trunk)
    network.begin_from_trunk()
    if other.classes == network.classes:
        own, given = network.state_dict(), other.state_dict()
        fitting = {name: given[name] for name in own if name in given and own[name].shape == given[name].shape}
        network.load_state_dict(fitting, strict=False)
        fresh = [name for name in own if name not in fitting]
    else:
        fresh = [name for name in network.state_dict() if not name.startswith("trunk.")]
    log.info("starting from %s; new layers: %s", path, ", ".join(fresh) or "none")


def _what_is_computed(classifier: ClassMapClassifier) -> dict[str, Any]:
    """A classifier's description as in its file, without what only matters in training."""
    description = classifier_description(classifier)
    return {**description, "trunk": {key: value for key, value in description["trunk"].items() if key != "dropout"}}
