"""Reads other programs' files of weights without running any code in them."""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from wsss_core.errors import UserError
from wsss_core.files.file_kinds import no_weights
from wsss_core.importing.mxnet_params import read_mxnet_params

NESTED_IN = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training programs store a state dict next to other things."""
_DATA_PARALLEL = "module."
_FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """The state dict in a PyTorch checkpoint or a .safetensors file.

    Args:
        path: a file of ``torch.save`` with a state dict, perhaps under a key of ``NESTED_IN``; or a .safetensors file.

    Returns:
        Dense tensors of numbers, on the CPU, under the authors' names, without ``DataParallel``'s prefix ``module.``.

    Raises:
        UserError: the file is missing or damaged, could only be read by running a pickle, or holds no state dict.
    """
    safe = Path(path).suffix == ".safetensors"
    state = _read(path, _read_safetensors if safe else _read_pickle)
    for key in NESTED_IN:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: holds no state dict (names and tensors), but a value of type {type(state).__name__}")
    if not state:
        raise UserError(f"{path}: holds a state dict without any weights")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(
                f"{path}: holds no state dict (names and tensors): {name!r} is of type {type(tensor).__name__}"
                f"{_where_weights_are(state)}"
            )
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise UserError(f"{path}: {name} is not an ordinary tensor of real numbers")
    if all(name.startswith(_DATA_PARALLEL) for name in state):
        state = {name.removeprefix(_DATA_PARALLEL): tensor for name, tensor in state.items()}
    return dict(state)


def _where_weights_are(state: Mapping[Any, Any]) -> str:
    """The other content of a file, for a message."""
    nested = [repr(key) for key, value in state.items() if isinstance(value, Mapping) and _has_tensors(value)]
    if nested:
        return f"; there are weights under {', '.join(nested)}: write one of these with torch.save or as .safetensors"
    keys = list(map(repr, state))
    return f"; it has {', '.join(keys[:8])}{f' and {len(keys) - 8} more' if len(keys) > 8 else ''}"


def _has_tensors(values: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in values.values())


def read_mxnet_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """The arrays in an MXNet file, without the prefixes ``arg:`` and ``aux:`` of their names.

    Raises:
        UserError: the file is missing or damaged.
    """
    return {name.removeprefix("arg:").removeprefix("aux:"): array for name, array in read_mxnet_params(path).items()}


def _read(path: Path | str, read: Callable[[str], Any]) -> Any:
    try:
        return read(str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        if (found := no_weights(path)) is not None:
            raise UserError(f"{path}: is {found}") from error
        raise UserError(f"{path}: is damaged, or not a .safetensors file ({error})") from error


def _read_pickle(path: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions of pickles and sparse tensors are checked below
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # a damaged or hostile pickle may raise anything, including other OSErrors
        if forbidden := _FORBIDDEN.search(str(error)):
            raise UserError(
                f"{path}: contains {forbidden[1]}, and is not read: only tensors are read from such files, as "
                "anything else could run code. If you trust the file, load it with the program it belongs to, and "
                "write network.state_dict() with torch.save or as .safetensors"
            ) from error
        if (found := no_weights(path)) is not None:
            raise UserError(f"{path}: is {found}") from error
        raise UserError(f"{path}: is damaged, or was not written by torch.save") from error
