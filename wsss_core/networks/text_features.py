"""Files of texts' features, for comparison with features of CLIP's image tower."""

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from wsss_core.config.text_descriptions import KIND, other_texts
from wsss_core.config.trained_on import DESCRIPTION_KEY
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.networks.weights import load_weights


def save_text_features(
    path: Path | str, classes: Tensor, background: Tensor, texts: Sequence[str], background_texts: Sequence[str]
) -> None:
    """Write features and their texts, atomically.

    Args:
        path: a .safetensors file.
        classes: features (K, E) of the classes' texts, of length 1.
        background: features (B, E) of the background's texts.
        texts: the K texts.
        background_texts: the B texts.
    """
    description = {"kind": KIND, "texts": list(texts), "background_texts": list(background_texts)}
    tensors = {"classes": classes.contiguous(), "background": background.contiguous()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {DESCRIPTION_KEY: json.dumps(description, sort_keys=True)})


def read_text_features(
    path: Path | str, texts: Sequence[str], background_texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Read a file from :func:`save_text_features`.

    Args:
        path: the file.
        texts: the texts in the settings, in the order of the classes.
        background_texts: the same for the background.

    Returns:
        (K, E) and (B, E), float32 of length 1, on the CPU.

    Raises:
        UserError: the file is missing, damaged or for other texts.
    """
    state, description = load_weights(path)
    if fault := other_texts(path, description, texts, background_texts):
        raise UserError(fault)
    if set(state) != {"classes", "background"} or any(found.dim() != 2 for found in state.values()):
        raise UserError(f"{path}: is damaged: it has to hold two matrices, 'classes' and 'background'")
    if len(state["classes"]) != len(texts) or len(state["background"]) != len(background_texts):
        raise UserError(f"{path}: is damaged: it does not have as many features as texts")
    lengths = [state[part].shape[1] for part in ("classes", "background")]
    if lengths[0] != lengths[1]:
        raise UserError(
            f"{path}: is damaged: features of the classes have the length {lengths[0]}, of the background {lengths[1]}"
        )
    classes, background = (
        found.float() / found.float().norm(dim=1, keepdim=True) for found in (state["classes"], state["background"])
    )
    if not (classes.isfinite().all() and background.isfinite().all()):
        raise UserError(f"{path}: is damaged: it holds features that are not finite, or 0")
    return classes, background
