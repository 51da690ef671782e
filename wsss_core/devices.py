"""Which device a job computes on."""

import torch

from wsss_core.errors import UserError


def choose_device(name: str) -> torch.device:
    """Turn ``runtime.device`` into a device.

    Args:
        name: ``auto`` (CUDA if there is any, else the CPU), ``cpu`` or ``cuda``.

    Raises:
        UserError: ``cuda`` is asked for where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device is 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'")
    return torch.device(name)


def sent_to(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A CPU's tensor on the device of another one, in its number format if both are of floats.

    To a GPU it goes from pinned memory, so that nobody waits: neither this thread, nor the device for it.
    """
    if like.device.type == "cuda" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    sent = tensor.to(like.device, non_blocking=True)
    return sent.to(like.dtype) if tensor.is_floating_point() else sent
