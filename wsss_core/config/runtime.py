"""How jobs run: devices, shards, memory, time. Never part of an artifact's identity."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from wsss_core.config.numbers import MemoryMiB, Minutes
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import Folder

TrainingRule = Literal["train_classifier", "train_affinity", "train_segmenter"]


class Runtime(Parameters):
    """How jobs run; changing these recomputes nothing."""

    results: Folder = Path("results")
    """Folder for everything that is made."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` uses CUDA if there is any. With ``cuda``, jobs ask for the threads that a GPU needs even if there is no
    GPU where Snakemake runs, such as on a cluster's login node."""
    deterministic: bool = False
    """Whether GPUs compute in a fixed order, so that the same work gives the same bytes every time on GPUs of one kind,
    also after a kill. Slower; CPUs always do."""
    recompute: Annotated[tuple[TrainingRule, ...], Field(max_length=3)] = ()
    """Trainings, by rule, whose residual blocks keep only their input for the backward pass and are computed again
    there: much less GPU memory, about a third more time, the same results. VGG-16 and timm's networks have no such
    blocks."""
    shards: int = Field(8, ge=1, le=999)
    """Jobs that a sharded stage (CAMs, label maps, predictions) is split into. A complete artifact keeps the number it
    was made with."""
    workers: int | None = Field(None, ge=0, le=1_024)
    """Processes that load images for one training; 0 loads in the training's own process. Default: on GPUs, one less
    than the job's ``threads``; on the CPU 0, as the network needs all cores and loading is a hundredth of the work."""
    max_mem_mb: MemoryMiB | None = None
    """Memory of the largest machine, MiB: no job and no retry asks for more. Default: no bound."""
    max_runtime: Minutes | None = None
    """The longest time limit that the cluster grants, minutes: no job and no retry asks for more. Default: no bound."""
    tensorboard: bool = False
    """Also write each training's curve as TensorBoard's event files, into ``tensorboard/`` next to ``training.csv``
    (``tensorboard --logdir results``). For trainings that run from now on; needs ``pip install tensorboard``."""
    classifier_at_chance: Literal["warn", "stop"] = "warn"
    """What happens if a classifier finds the classes of validation images hardly better than by chance. A warning that
    says what to do always comes before class maps are drawn; with ``stop`` none are drawn."""
    prune: Literal["list", "delete"] = "list"
    """What ``snakemake prune`` does with artifacts that no experiment refers to."""


class RuleResources(Parameters):
    """What one job of a rule asks the machine or the cluster for."""

    threads: int = Field(1, ge=1, le=4_096)
    """CPU cores. Jobs that compute on a GPU have more by default, see the table."""
    mem_mb: MemoryMiB = 4000
    """Memory, MiB; a job's n-th attempt asks for n times as much."""
    runtime: Minutes = 240
    """Time limit, minutes; a job's n-th attempt asks for n times as much."""
    gpu: int = Field(0, ge=0, le=128)
    """GPUs. Only trainings can use several, which share the images of each step."""
