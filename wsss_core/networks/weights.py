"""Weight files: safetensors, with a description of the network."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from wsss_core.config.trained_on import DESCRIPTION_KEY
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path

Network = TypeVar("Network", bound=nn.Module)
TRUNK_PREFIX = "trunk."
_NAMES_IN_A_SENTENCE = 3
_CANNOT_BE_BUILT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Possible exceptions when building a network from another version's description; pydantic's are ValueErrors."""


def save_weights(path: Path | str, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write the weights and their network's description, atomically; equal input gives equal bytes.

    Args:
        path: a .safetensors file.
        network: all its parameters and buffers are written, with the names in its state dict.
        description: JSON-serialisable settings for rebuilding the network.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {DESCRIPTION_KEY: json.dumps(description, sort_keys=True)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def describe_further(path: Path | str, **further: Any) -> None:
    """Add to the description in a file written by :func:`save_weights`, atomically."""
    state, description = load_weights(path)
    with atomic_path(path) as temporary:
        save_file(state, temporary, {DESCRIPTION_KEY: json.dumps({**description, **further}, sort_keys=True)})


def load_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file written by :func:`save_weights`.

    Returns:
        The state dict, on the CPU, and the description.

    Raises:
        UserError: the file is missing or damaged, or does not describe a network.
    """
    state, metadata = _read(path)
    return state, _description(path, metadata)


def read_description(path: Path | str) -> dict[str, Any]:
    """The description in a file written by :func:`save_weights`; the weights are not read.

    Raises:
        UserError: as :func:`load_weights`.
    """
    return _description(path, _read(path, tensors=False)[1])


def is_of_this_workflow(path: Path | str) -> bool:
    """Whether a .safetensors file describes a network of this workflow.

    Raises:
        UserError: the file is missing or damaged.
    """
    return DESCRIPTION_KEY in _read(path, tensors=False)[1]


def load_state(network: nn.Module, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Load ``state``, read from ``path``, into ``network``; names, shapes and kinds of numbers have to match.

    Raises:
        UserError: weights are missing, unexpected, not finite, or have another shape or kind; the message names them.
    """
    own = network.state_dict()
    faults = []
    if missing := [name for name in own if name not in state]:
        faults.append(f"lacks {_some(missing)}")
    if foreign := [name for name in state if name not in own]:
        faults.append(f"has {_some(foreign)}, which the network lacks")
    if misshaped := [name for name in own if name in state and own[name].shape != state[name].shape]:
        shapes = [f"{name} {list(state[name].shape)} instead of {list(own[name].shape)}" for name in misshaped]
        faults.append(f"has {_some(shapes)}")
    if other := [name for name in own if name in state and _is_of_reals(own[name]) != _is_of_reals(state[name])]:
        faults.append(f"has {_some(f'{name} of type {state[name].dtype}' for name in other)}")
    if faults:
        raise UserError(f"{path}: the weights belong to another network: the file {'; it '.join(faults)}")
    if broken := [name for name in own if not torch.isfinite(state[name]).all()]:
        raise UserError(
            f"{path}: the values of {_some(broken)} are not finite; the file is damaged, or its training went wrong: "
            "delete it and make it again, with a lower learning rate if it comes out the same"
        )
    network.load_state_dict(state)


def _is_of_reals(tensor: Tensor) -> bool:
    """Whether its values are floating-point numbers, with any precision."""
    return tensor.is_floating_point()


def load_trunk(path: Path | str, trunk: nn.Module) -> None:
    """Load a trunk's weights into ``trunk``, in place.

    Args:
        path: a file of any network of this workflow (only names that start with ``trunk.`` are used), or a .safetensors
            file with torchvision's names (``fc.*`` is ignored).
        trunk: the trunk, with the same architecture; stride and dilation may differ.

    Raises:
        UserError: the file is missing or damaged, or its trunk is another one, or needs another scale of pixels.
    """
    state, metadata = _read(path)
    given, wanted = _pixel_scale(metadata), getattr(trunk, "pixel_scale", "imagenet")
    if given is not None and given != wanted:
        raise UserError(f"{path}: the weights are for pixels: {given}, the trunk is set to pixels: {wanted}")
    if any(name.startswith(TRUNK_PREFIX) for name in state):
        state = {name.removeprefix(TRUNK_PREFIX): state[name] for name in state if name.startswith(TRUNK_PREFIX)}
    else:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    load_state(trunk, state, path)


def load_layers(path: Path | str, network: nn.Module) -> None:
    """Load the weights of some layers into ``network``, in place.

    Args:
        path: a file written by :func:`save_weights`, with only complete layers of ``network``.
        network: has these layers under the same names.

    Raises:
        UserError: the file is missing or damaged, or a layer is missing in the network or has another shape.
    """
    state, _ = load_weights(path)
    names = {name.partition(".")[0] for name in state}
    own = {name: layer for name, layer in network.named_children() if name in names}
    load_state(nn.ModuleDict(own), state, path)


def _pixel_scale(metadata: Mapping[str, str]) -> str | None:
    """The scale of pixels for the trunk in a file of this workflow; None for other files."""
    try:
        description = json.loads(metadata[DESCRIPTION_KEY])
        return (description.get("trunk") or description["backbone"])["pixels"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def load_network(
    path: Path | str, kind: str, build: Callable[[dict[str, Any]], Network], device: torch.device | str
) -> Network:
    """Rebuild a network from its file alone, for use.

    Args:
        path: a file written by :func:`save_weights`.
        kind: the network's required name in the file's description.
        build: makes the network, with any weights, from the description.
        device: where to put the network.

    Returns:
        The network in evaluation mode; its parameters need no gradient.

    Raises:
        UserError: the file is missing, damaged, holds another kind of network, or does not fit.
    """
    state, description = load_weights(path)
    if description.get("kind") != kind:
        raise UserError(f"{path}: holds weights of a {description.get('kind', 'unknown network')}, not of a {kind}")
    try:
        network = build(description)
    except _CANNOT_BE_BUILT as error:
        raise UserError(
            f"{path}: was written by another version of this workflow, or is damaged ({type(error).__name__}: {error})"
        ) from error
    load_state(network, state, path)
    return ready_for_use(network, device)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def ready_for_use(network: Network, device: torch.device | str) -> Network:
    """The network on ``device``, in evaluation mode; its weights need no gradient."""
    return network.requires_grad_(False).eval().to(device)


def _description(path: Path | str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        description = json.loads(metadata[DESCRIPTION_KEY])
        if not isinstance(description, dict):
            raise ValueError("not an object")
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: does not say which network its weights belong to; it was not written by this workflow"
        ) from error
    names = description.get("classes", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        raise UserError(
            f"{path}: was written by another version of this workflow, or is damaged (its list of classes is "
            f"{str(names)[:80]})"
        )
    return description


def _read(path: Path | str, tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            names = file.keys() if tensors else ()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such weights file") from error
    except (OSError, safetensors.SafetensorError, *_CANNOT_BE_BUILT) as error:  # such as a dtype that torch lacks
        from wsss_core.files.file_kinds import no_weights  # only for what cannot be read

        found = no_weights(path) or f"damaged or no .safetensors file ({error})"
        raise UserError(f"{path}: is {found}") from error


def _some(names: Iterable[str]) -> str:
    """The first few names, and the number of others."""
    names = list(names)
    more = len(names) - _NAMES_IN_A_SENTENCE
    return ", ".join(names[:_NAMES_IN_A_SENTENCE]) + (f" and {more} more" if more > 0 else "")
