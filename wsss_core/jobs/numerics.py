"""How a job computes on a GPU: in a fixed order or not, in float32 or TF32, with which of cuDNN's algorithms."""

import logging
import os

import torch

from wsss_core.errors import UserError
from wsss_core.jobs.devices import check_bfloat16, choose_device
from wsss_core.jobs.measured import record_figure
from wsss_core.jobs.run import Run

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
FIXED_WORKSPACES = (":4096:8", ":16:8")
"""The settings with which cuBLAS computes in a fixed order (NVIDIA's documentation of cuBLAS, "Results
Reproducibility")."""
TF32_SINCE = (8, 0)
"""The compute capability of the first GPUs with TF32, NVIDIA's Ampere."""
log = logging.getLogger(__name__)


def device_for(
    run: Run, precision: str = "float32", setting: str = "arithmetic", one_size: bool = False
) -> torch.device:
    """Choose the device of a job, and set how it computes. Call this before anything is computed on it.

    Args:
        run: gives ``device`` and ``deterministic``.
        precision: ``float32``, ``tf32``, ``bfloat16`` or ``float64``.
        setting: the key with the precision, for messages.
        one_size: whether all inputs have the same size, like a training's crops.

    Raises:
        UserError: there is no such device, it lacks the precision, or the environment does not allow a fixed order.
    """
    if run.deterministic and run.device != "cpu":
        os.environ.setdefault(WORKSPACE, FIXED_WORKSPACES[0])  # now, as CUDA reads the environment when it starts
    device = choose_device(run.device)
    if precision == "bfloat16":
        check_bfloat16(device, setting)
    apply_numerics(run, device, precision, one_size)
    return device


def apply_numerics(run: Run, device: torch.device, precision: str = "float32", one_size: bool = False) -> None:
    """Set how torch computes on a GPU; the job's provenance records it. CPUs always compute in a fixed order.

    Args:
        run: ``deterministic`` asks for the same bytes in each run on GPUs of one kind: operations are then computed
            in a fixed order, and an operation that cannot be is an error.
        device: where to compute.
        precision: with ``tf32``, convolutions and matrix products are computed in TF32 if the GPU has it; otherwise
            never. Torch's own default has TF32 in convolutions.
        one_size: whether all inputs have the same size: cuDNN then times its algorithms and takes the fastest, unless
            ``deterministic``, as its choice may differ from run to run.

    Raises:
        UserError: the environment does not allow a fixed order.
    """
    if device.type != "cuda":
        return
    if run.deterministic:
        _fix_workspaces()
    if torch.are_deterministic_algorithms_enabled() != run.deterministic:
        torch.use_deterministic_algorithms(run.deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cudnn, tf32 = torch.backends.cudnn, precision == "tf32"
    if tf32 and torch.cuda.get_device_capability(device) < TF32_SINCE:
        log.warning("this GPU has no TF32: it computes in float32")
        tf32 = False
    cudnn.deterministic = run.deterministic
    cudnn.benchmark = one_size and not run.deterministic
    cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    record_figure("deterministic", run.deterministic)
    record_figure("tf32", tf32)
    record_figure("cudnn_benchmark", cudnn.benchmark)


def _fix_workspaces() -> None:
    """Let cuBLAS compute in a fixed order.

    Raises:
        UserError: the user's environment sets another order.
    """
    chosen = os.environ.setdefault(WORKSPACE, FIXED_WORKSPACES[0])
    if chosen not in FIXED_WORKSPACES:
        raise UserError(
            f"'runtime.deterministic' needs {WORKSPACE}={FIXED_WORKSPACES[0]} (or {FIXED_WORKSPACES[1]}) in the "
            f"environment, but it is {chosen} there; unset it"
        )
