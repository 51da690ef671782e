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
        UserError: ``cuda`` is asked for where there is none, or the job was given a GPU that torch cannot use.
    """
    if name != "cpu" and not torch.cuda.is_available():
        gpus = promised_gpus()
        if gpus is not None:  # on a CPU, what takes a GPU hours would take weeks
            raise UserError(
                f"this job was given {gpus}, but torch cannot compute there: {_why_not()}. Install a torch for the "
                "CUDA of the machine's driver, or update the driver (docs/troubleshooting.md says how); to compute on "
                "the CPU nonetheless, set 'runtime: {device: cpu}'"
            )
        if name == "cuda":
            hidden = f"; {VISIBLE} is empty: the job asks for no GPU, or none is left to it"
            raise UserError(
                "runtime.device is 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'"
                f"{hidden if os.environ.get(VISIBLE) == '' else ''}"
            )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # By its number: in a training's further processes it is another one than the first.
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)


def _why_not() -> str:
    """Why torch finds no CUDA device: its own words, and what it was built for."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for CPUs alone"
    told = "it finds no device"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        told = str(error).splitlines()[0].split(". ")[0]  # the rest is advice: to update the driver
    return f"{told} (torch {torch.__version__} is built for CUDA {torch.version.cuda})"


def check_bfloat16(device: torch.device, setting: str) -> None:
    """Refuse bfloat16 on a GPU that has no such arithmetic, and would be slower with it than in float32.

    Args:
        device: where to compute.
        setting: the key that asks for it.

    Raises:
        UserError: the GPU is too old, older than NVIDIA's Ampere.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(f"this GPU does not compute in bfloat16; set '{setting}' to float32")


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


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU's tensor on a device.

    To a GPU it goes from pinned memory, so that nobody waits: neither this thread, nor the device for it.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def sent_to(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A CPU's tensor on the device of another one, in its number format if both are of floats; nobody waits."""
    sent = moved(tensor, like.device)
    return sent.to(like.dtype) if tensor.is_floating_point() else sent
