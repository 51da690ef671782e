"""Trainings whose steps several GPUs cannot share, found before the hours of work that precede them."""

from collections.abc import Iterable, Mapping
from typing import Any

from wsss_core.config.stages import STAGES
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.plan import Plan


def unshared_steps(plan: Plan) -> Iterable[str]:
    """A line for each training whose steps cannot be divided equally among the GPUs that its rule asks for."""
    if plan.config.runtime.device == "cpu":
        return
    for stage, row in STAGES.items():
        rule = row.rule
        gpus = plan.config.resources.get(rule, row.resources).gpu if row.trains else 0
        if gpus < 2:
            continue
        for artifact in plan.artifacts(stage):
            fault = _fault(artifact, gpus)
            if fault is not None:
                yield f"resources.{rule}.gpu: {artifact.variant}: {fault}"


def _fault(artifact: Artifact, gpus: int) -> str | None:
    settings: Mapping[str, Any] = artifact.parameters
    if artifact.stage == "backbone":
        settings = settings.get("pretext") or {}
    optimisation = settings.get("optimisation") or {"epochs": 0}
    parts = optimisation.get("accumulate", 1)
    for images in _batch_sizes(settings, optimisation):
        if images % gpus:
            return f"{gpus} GPUs cannot share the {images} images of a step equally; choose another number of either"
        if images // gpus % parts:
            return (
                f"each of {gpus} GPUs has {images // gpus} images of a step, which cannot make {parts} equal parts; "
                "choose an 'optimisation.accumulate' that divides them, such as 1"
            )
    return None


def _batch_sizes(settings: Mapping[str, Any], optimisation: Mapping[str, Any]) -> list[int]:
    """The numbers of images in steps; AEFT has another one after its warm-up."""
    epochs, warm_up = optimisation["epochs"], settings.get("warmup_epochs")
    if warm_up is None:
        return [optimisation["batch_size"]] if epochs > 0 else []
    sizes = [optimisation["batch_size"]] if min(epochs, warm_up) > 0 else []
    return [*sizes, settings["triplet_batch_size"] or optimisation["batch_size"]] if epochs > warm_up else sizes
