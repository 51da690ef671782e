"""Which device a job computes on."""

import os

import torch

from wsss_core.errors import UserError
from wsss_core.jobs.gpu_lease import VISIBLE, promised_gpus
from wsss_core.jobs.run import Run


def choose_device(name: str) -> torch.device:
    """Turn ``runtime.device`` into a device.

    Args:
        name: ``auto`` (CUDA if there is any, else the CPU), ``cpu`` or ``cuda``.

    Raises:
        UserError: ``cuda`` is asked for but does not exist, or the job was given a GPU that torch cannot use.
    """
    if name != "cpu" and not torch.cuda.is_available():
        gpus = promised_gpus()
        if gpus is not None:  # on a CPU, hours of a GPU's work would take weeks
            raise UserError(
                f"this job was given {gpus}, but torch cannot compute there: {_why_not()}. Install a torch for the "
                "CUDA of the machine's driver, or update the driver (docs/troubleshooting.md says how); to compute on "
                "the CPU anyway, set 'runtime: {device: cpu}'"
            )
        if name == "cuda":
            hidden = f"; {VISIBLE} is empty: the job asks for no GPU, or may use none"
            raise UserError(
                "runtime.device is 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'"
                f"{hidden if os.environ.get(VISIBLE) == '' else ''}"
            )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # With its number: in further processes of a training it is not the first device.
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)


def _why_not() -> str:
    """Why torch finds no CUDA device: its own words, and what it was built for."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built only for CPUs"
    reason = "it finds no device"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]  # the rest is advice: to update the driver
    return f"{reason} (torch {torch.__version__} is built for CUDA {torch.version.cuda})"


def check_bfloat16(device: torch.device, setting: str) -> None:
    """Refuse bfloat16 on a GPU without such arithmetic, where it would be slower than float32.

    Args:
        device: where to compute.
        setting: the key that asks for it.

    Raises:
        UserError: the GPU is too old, older than NVIDIA's Ampere.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(f"this GPU does not compute in bfloat16; set '{setting}' to float32")


def loading_processes(run: Run, device: torch.device) -> int:
    """The number of processes that load images for a training on a device.

    It is the number in ``run``. By default, it is one less than the threads on a GPU, and 0 on the CPU, where the
    network needs all cores.
    """
    if run.workers is not None:
        return run.workers
    return run.threads - 1 if device.type == "cuda" else 0


class OnTheWay:
    """A tensor's copy to the host, under way in the background."""

    def __init__(self, tensor: torch.Tensor) -> None:
        """Start the copy; a CPU's tensor needs none."""
        # With non_blocking, a GPU's tensor is copied to pinned memory.
        self._copy = tensor.to("cpu", non_blocking=True)
        self._complete = torch.cuda.Event(blocking=True) if tensor.device.type == "cuda" else None
        if self._complete is not None:
            self._complete.record()

    def arrived(self) -> torch.Tensor:
        """The copy, once it is complete."""
        if self._complete is not None:
            self._complete.synchronize()
        return self._copy


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU's tensor on a device.

    It goes to a GPU from pinned memory, so that neither this thread nor the device waits.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def sent_to(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A CPU's tensor on the device of another one, with its dtype if both are floats; nothing waits."""
    sent = moved(tensor, like.device)
    return sent.to(like.dtype) if tensor.is_floating_point() else sent
