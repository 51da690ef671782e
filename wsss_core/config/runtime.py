"""How the work is run: devices, shards, memory, time. Never part of an artifact's identity."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from wsss_core.config.numbers import MemoryMiB, Minutes
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import Folder

TrainingRule = Literal["train_classifier", "train_affinity", "train_segmenter"]


class Runtime(Parameters):
    """How, never what: changing these recomputes nothing."""

    results: Folder = Path("results")
    """Folder for everything that is made."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is any. With ``cuda`` jobs ask for the threads that a GPU needs also if there is
    none where Snakemake runs, such as on a cluster's login node."""
    deterministic: bool = False
    """Whether GPUs compute in a fixed order, so that the same work has the same bytes each time on GPUs of one kind,
    also after a kill. Slower; CPUs always do."""
    recompute: Annotated[tuple[TrainingRule, ...], Field(max_length=3)] = ()
    """Trainings, by rule, whose residual blocks keep their input alone for the way back, and are computed a second time
    there: much less of a GPU's memory, about a third more time, the same results. VGG-16 and timm's networks have no
    such blocks."""
    shards: int = Field(8, ge=1, le=999)
    """Jobs that a sharded stage (CAMs, label maps, predictions) is split into. An artifact that is
    complete keeps the number it was made with."""
    workers: int | None = Field(None, ge=0, le=1_024)
    """Processes that load images for one training; 0 loads in the training's own process. By default, on GPUs one for
    each of the job's ``threads`` but the first, and on the CPU 0: there the network wants all cores, and loading is
    a hundredth of the work."""
    max_mem_mb: MemoryMiB | None = None
    """What the largest machine has, MiB: no job asks for more, nor does a retry. Default: no bound."""
    max_runtime: Minutes | None = None
    """The longest time limit that the cluster grants, minutes: no job asks for more, nor does a retry.
    Default: no bound."""
    tensorboard: bool = False
    """Write every training's curve as TensorBoard's event files, too, into ``tensorboard/`` beside ``training.csv``:
    ``tensorboard --logdir results``. Of trainings that run from now on; needs ``pip install tensorboard``."""
    classifier_at_chance: Literal["warn", "stop"] = "warn"
    """What happens when a classifier finds the classes of validation images hardly better than by chance. It is always
    said, with what to do about it, before class maps are drawn; ``stop`` draws none."""
    prune: Literal["list", "delete"] = "list"
    """What ``snakemake prune`` does with artifacts that no experiment refers to."""


class RuleResources(Parameters):
    """What one job of a rule asks the machine or the cluster for."""

    threads: int = Field(1, ge=1, le=4_096)
    """CPU cores. Jobs that compute on a GPU have more by default, as the table says."""
    mem_mb: MemoryMiB = 4000
    """Memory, MiB; a job's n-th attempt asks for n times as much."""
    runtime: Minutes = 240
    """Time limit, minutes; a job's n-th attempt asks for n times as much."""
    gpu: int = Field(0, ge=0, le=128)
    """GPUs. Several, which trainings alone can use, share the images of each step."""
