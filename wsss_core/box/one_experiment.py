"""The configuration of one experiment alone: its chain of variants, and what it needs besides."""

from pathlib import Path
from typing import Any

from wsss_core.config.root import REFERENCES, Config
from wsss_core.config.stages import STAGES
from wsss_core.datasets.index_corrections import corrected_masks_in
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.plan import Plan

FOR_PEOPLE_ONLY = (
    *("climb", "climb_scores", "erasing", "generated"),
    *("test_images", "test_predictions", "voc_submission", "masks", "listed_masks", "saliency"),
)
"""Stages that a box without maps has nothing of: their files are pictures, or name places on this machine."""


def settings_of(config: Config, experiment: str) -> dict[str, Any]:
    """All settings that an experiment's results depend on, as they would stand in a YAML file.

    Args:
        config: a checked configuration.
        experiment: a name in it.

    Returns:
        JSON values; nothing of how and where things are run.
    """
    wanted: dict[str, set[str]] = {"experiments": {experiment}}
    waiting = [("experiments", experiment)]
    while waiting:
        section, name = waiting.pop()
        variant = getattr(config, section)[name]
        for key, other in REFERENCES.get(section, {}).items():
            referred = getattr(variant, key, None)
            if referred is not None and referred not in wanted.setdefault(other, set()):
                wanted[other].add(referred)
                waiting.append((other, referred))
    raw: dict[str, Any] = {"dataset": _plain(config.dataset)}
    for section in type(config).model_fields:
        if section in wanted:
            variants = getattr(config, section)
            raw[section] = {name: _plain(variants[name]) for name in variants if name in wanted[section]}
    raw["report"] = _plain(config.report)
    if config.extensions:
        raw["extensions"] = list(config.extensions)
    return {key: value for key, value in raw.items() if value}


def _plain(settings: Any) -> dict[str, Any]:
    plain: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True)
    return plain


def absolute_paths(settings: Any) -> list[str]:
    """The places on this machine that settings name, which say how its folders, and perhaps its users, are called."""
    if isinstance(settings, str):
        return [settings] if Path(settings).is_absolute() or settings.startswith("~") else []
    inside = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return sorted({path for value in inside for path in absolute_paths(value)})


def needed_files(config: Config) -> list[str]:
    """Paths of the files that the settings name, other than the data set's own and extensions."""
    found: list[str] = []
    for section in ("backbones", "classifiers", "affinities", "segmenters"):
        for variant in getattr(config, section).values():
            weights = getattr(variant, "weights", None)
            if weights is not None and weights.endswith(".safetensors"):
                found.append(weights)
    for cams in config.cams.values():
        found += filter(None, [cams.threshold.subset])
    for affinity in config.affinities.values():
        threshold = affinity.pseudo_labels.background.threshold
        found += filter(None, [threshold.subset if threshold else None])
    for experiment in config.experiments.values():
        if experiment.masks_of is not None:
            if experiment.masks_of.folder is None:
                found.append(experiment.masks_of.source)
            else:
                found += map(str, corrected_masks_in(Path(experiment.masks_of.folder)).values())
    return sorted(dict.fromkeys(found))


def packed_artifacts(plan: Plan, with_maps: bool) -> list[Artifact]:
    """The artifacts that belong into a box, each after those it is made from."""
    ordered: dict[str, Artifact] = {}

    def visit(artifact: Artifact) -> None:
        for upstream in artifact.upstream.values():
            visit(upstream)
        ordered.setdefault(str(artifact.directory), artifact)

    for stages in plan.experiments.values():
        for artifact in stages.values():
            visit(artifact)
    return [artifact for artifact in ordered.values() if with_maps or artifact.stage not in FOR_PEOPLE_ONLY]


def own_files(artifact: Artifact) -> list[str]:
    """The files of an artifact that are no maps: a box has all of them."""
    return list(STAGES[artifact.stage].files)


def scores_are_there(plan: Plan) -> bool:
    """Whether there are scores, whether or not the data set's masks are: those may be elsewhere."""
    return any(
        Path(artifact.path(scores)).exists()
        for stages in plan.experiments.values()
        for stage, artifact in stages.items()
        if (scores := STAGES[stage].scores_file) is not None
    )
