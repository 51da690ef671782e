"""How the work is run: devices, shards, memory, time. Never part of an artifact's identity."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from wsss_core.config.parameters import Parameters


class Runtime(Parameters):
    """How, never what: changing these recomputes nothing."""

    results: Path = Path("results")
    """Folder for everything that is made."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is any."""
    shards: int = Field(8, ge=1, le=999)
    """Jobs that a sharded stage (CAMs, label maps, predictions) is split into. An artifact that is
    complete keeps the number it was made with."""
    workers: int | None = Field(None, ge=0)
    """Processes that load images for one training; 0 loads in the training's own process. By default, on GPUs one for
    each of the job's ``threads`` but the first, and on the CPU 0: there the network wants all cores, and loading is
    a hundredth of the work."""
    max_mem_mb: int | None = Field(None, ge=100)
    """What the largest machine has, MiB: no job asks for more, nor does a retry. Default: no bound."""
    max_runtime: int | None = Field(None, ge=1)
    """The longest time limit that the cluster grants, minutes: no job asks for more, nor does a retry.
    Default: no bound."""
    classifier_at_chance: Literal["warn", "stop"] = "warn"
    """What happens when a classifier finds the classes of validation images hardly better than by chance. It is always
    said, with what to do about it, before class maps are drawn; ``stop`` draws none."""
    prune: Literal["list", "delete"] = "list"
    """What ``snakemake prune`` does with artifacts that no experiment refers to."""


class RuleResources(Parameters):
    """What one job of a rule asks the machine or the cluster for."""

    threads: int = Field(1, ge=1)
    """CPU cores."""
    mem_mb: int = Field(4000, ge=100)
    """Memory, MiB; a job's n-th attempt asks for n times as much."""
    runtime: int = Field(240, ge=1)
    """Time limit, minutes; a job's n-th attempt asks for n times as much."""
    gpu: int = Field(0, ge=0)
    """GPUs. Several, which trainings alone can use, share the images of each step."""


def _gpu(hours: float, memory: int = 16000) -> RuleResources:
    return RuleResources(threads=1, mem_mb=memory, runtime=int(hours * 60), gpu=1)


DEFAULT_RESOURCES: dict[str, RuleResources] = {
    "generate_creatures": RuleResources(runtime=30),
    "index_dataset": RuleResources(threads=4, runtime=120),
    "index_masks": RuleResources(threads=4, runtime=120),
    "prepare_backbone": _gpu(1),
    "train_classifier": _gpu(12),
    "score_classifier": _gpu(4),
    "generate_cams": _gpu(24),
    "record_climb": _gpu(1),
    "score_cams": RuleResources(runtime=120),
    "choose_threshold_without_masks": RuleResources(runtime=60),
    "refine_seeds": RuleResources(runtime=720),
    "make_affinity_labels": RuleResources(runtime=720),
    "train_affinity": _gpu(12),
    "spread_cams": _gpu(12),
    "make_pseudo_labels": RuleResources(runtime=720),
    "train_segmenter": _gpu(48, 32000),
    "predict": _gpu(12),
    "predict_with_probabilities": _gpu(12),
    "score_label_maps": RuleResources(runtime=120),
    "index_test_images": RuleResources(runtime=120),
    "predict_test": _gpu(12),
    "make_voc_submission": RuleResources(runtime=60),
}
"""Requests of each rule where ``resources`` in the configuration says nothing."""
TRAININGS = ("prepare_backbone", "train_classifier", "train_affinity", "train_segmenter")
"""Rules whose jobs can use more than one GPU."""


def useless_gpus(resources: Mapping[str, RuleResources]) -> Iterator[str]:
    """Tell of rules that ask for several GPUs and would leave all but one idle.

    Args:
        resources: what the configuration asks for, by rule.

    Yields:
        A sentence for each such rule.
    """
    for rule, asked in resources.items():
        if asked.gpu > 1 and rule not in TRAININGS:
            yield (
                f"resources.{rule}.gpu: must be 0 or 1, not {asked.gpu}: only trainings ({', '.join(TRAININGS)}) use "
                "more; 'runtime.shards' splits other work into more jobs"
            )
