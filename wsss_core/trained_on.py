"""What weights were trained on, as their file says. Without torch: planning the workflow asks for it."""

import json
from pathlib import Path

import safetensors

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
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None
    return str(told)
