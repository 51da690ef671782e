"""How a stage's work runs: what a job passes to its function besides the work itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACE = "WSSS_TRAINING_PROCESS"
"""Environment variable of a training's further processes (:mod:`wsss_core.jobs.processes`): their number, the number of
all, the port of the first."""


@dataclass(frozen=True)
class Run:
    """How work runs; results do not depend on it, except for rounding on other devices."""

    inputs: Sequence[Path | str] = ()
    """Files that the result depends on: an earlier run's partial work is used only if they are the same."""
    device: str = "auto"
    """``auto`` (CUDA if there is any, else the CPU), ``cpu`` or ``cuda``."""
    threads: int = 1
    """CPU cores, for worker processes."""
    workers: int | None = 0
    """Processes that load the images of a training; 0 loads in the training's own process, None is the default of
    :func:`wsss_core.jobs.devices.loading_processes`."""
    tensorboard: bool = False
    """Whether trainings write event files."""
    deterministic: bool = False
    """Whether a GPU computes in a fixed order: see :func:`wsss_core.jobs.numerics.apply_numerics`."""
    recompute: bool = False
    """Whether a training computes residual blocks again in the backward pass, which needs less memory: see
    :func:`wsss_core.networks.recomputed.recompute_blocks`."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """The artifact's identity, for files that record it."""
