"""Which device a job computes on."""

import torch

from wsss_core.errors import UserError
from wsss_core.jobs.run import Run


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


def loading_processes(run: Run, device: torch.device) -> int:
    """How many processes load images for a training on a device.

    The number that ``run`` gives. By default, one for each of its threads but the first on a GPU, and none on the CPU:
    there the network wants all cores.
    """
    if run.workers is not None:
        return run.workers
    return run.threads - 1 if device.type == "cuda" else 0


class OnTheWay:
    """A tensor's copy on the host, which comes by itself."""

    def __init__(self, tensor: torch.Tensor) -> None:
        """Send it; on a CPU it is there."""
        # Not blocking, a tensor comes from a GPU to pinned memory.
        self._copy = tensor.to("cpu", non_blocking=True)
        self._complete = torch.cuda.Event(blocking=True) if tensor.device.type == "cuda" else None
        if self._complete is not None:
            self._complete.record()

    def arrived(self) -> torch.Tensor:
        """The copy, once it is complete."""
        if self._complete is not None:
            self._complete.synchronize()
        return self._copy


def sent_to(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A CPU's tensor on the device of another one, in its number format if both are of floats.

    To a GPU it goes from pinned memory, so that nobody waits: neither this thread, nor the device for it.
    """
    if like.device.type == "cuda" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    sent = tensor.to(like.device, non_blocking=True)
    return sent.to(like.dtype) if tensor.is_floating_point() else sent
