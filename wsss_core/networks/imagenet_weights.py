"""torchvision's ImageNet weights, from the cache or the web."""

import os
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from wsss_core.errors import UserError


def imagenet_weights(name: str) -> tuple[dict[str, Tensor], Path]:
    """The state dict of the weights ``IMAGENET1K_V1``, and its file.

    Args:
        name: of a network in torchvision.

    Raises:
        UserError: the file is not in the cache and cannot be fetched, or it is damaged.
    """
    from torchvision.models import get_model_weights

    source = get_model_weights(name)["IMAGENET1K_V1"]
    file = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(source.url))
    try:
        state = torch.hub.load_state_dict_from_url(source.url, map_location="cpu", weights_only=True, check_hash=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:  # the last two: a damaged file in the cache
        raise UserError(
            f"the ImageNet weights of {name} cannot be fetched or read ({error}). Put torchvision's file "
            f"{os.path.basename(source.url)} at {file}, or give the backbone 'weights: scratch' or the path of a "
            ".safetensors file"
        ) from None
    return state, Path(file)
