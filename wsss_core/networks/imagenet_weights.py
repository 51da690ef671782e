"""torchvision's ImageNet weights, from the cache or the web, and their names in our trunks."""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from wsss_core.errors import UserError
from wsss_core.networks.vgg16 import VGG16_ARCHITECTURES


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


def trunk_from_torchvision(state: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """The trunk's part of a torchvision network's state dict, under the trunk's own names.

    Args:
        state: of torchvision's ``resnet18`` to ``resnet101`` or ``vgg16``.
        network: the trunk's name in the configuration.

    Returns:
        The weights without the layers after the trunk (``fc``, ``classifier``).
    """
    if network not in VGG16_ARCHITECTURES:
        return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    positions = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    convolutions = VGG16_ARCHITECTURES[network].convolutions
    names = [f"conv{stage}_{n}" for stage, count in enumerate(convolutions, start=1) for n in range(1, count + 1)]
    ours = dict(zip((f"features.{position}" for position in positions), names, strict=False))
    renamed = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if not name.startswith("classifier."):
            renamed[f"{ours[layer]}.{leaf}" if layer in ours else name] = tensor
    return renamed
