"""Weights on disk: safetensors files that say which network they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsss_core.atomic import atomic_path
from wsss_core.errors import UserError

DESCRIPTION_KEY = "network"
TRUNK_PREFIX = "trunk."
MAX_KEYS_NAMED = 5


def save_weights(path: Path | str, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write a network's state atomically; the same state gives the same bytes.

    Args:
        path: the ``.safetensors`` file.
        network: any network whose trunk's parameters begin with ``trunk.``.
        description: what is needed to build the network again, as JSON values.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # One key only: safetensors does not keep several in a fixed order.
    metadata = {DESCRIPTION_KEY: json.dumps(description, sort_keys=True)}
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def load_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file written by :func:`save_weights`.

    Returns:
        The state and the description (empty if the file holds none).

    Raises:
        UserError: the file is missing or is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file of weights") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is not a whole .safetensors file ({error}); make or fetch it again") from None
    return state, json.loads(metadata.get(DESCRIPTION_KEY, "{}"))


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Put ``state`` into ``network``; all keys and shapes must fit.

    Raises:
        UserError: naming the keys of ``source`` that are missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    faults = []
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in wanted]
    misshapen = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    for what, keys in (("missing", missing), ("not known", unknown), ("of another shape", misshapen)):
        if keys:
            more = f" and {len(keys) - MAX_KEYS_NAMED} more" if len(keys) > MAX_KEYS_NAMED else ""
            faults.append(f"{what}: {', '.join(keys[:MAX_KEYS_NAMED])}{more}")
    if faults:
        raise UserError(f"{source}: these weights do not fit the network; {'; '.join(faults)}")
    network.load_state_dict(dict(state), strict=False)


def load_trunk(path: Path | str, trunk: nn.Module) -> None:
    """Take a trunk's weights from the file of a backbone or of any network with that trunk.

    Raises:
        UserError: the file is broken, holds no trunk, or another one.
    """
    state, _ = load_weights(path)
    own = {key.removeprefix(TRUNK_PREFIX): value for key, value in state.items() if key.startswith(TRUNK_PREFIX)}
    if not own:
        raise UserError(f"{path}: holds no weights of a trunk (none of its keys begins with '{TRUNK_PREFIX}')")
    load_state(trunk, own, path)


def freeze(module: nn.Module) -> None:
    """Exclude a module's parameters from training."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def freeze_batch_norm(network: nn.Module) -> None:
    """Keep every batch normalisation's statistics and weights, also across ``network.train()``."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            freeze(module)
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def inference_mode(network: nn.Module, device: torch.device | str) -> None:
    """Make a network ready for use: on the device, in evaluation mode, without gradients of weights."""
    network.to(device).eval()
    freeze(network)
