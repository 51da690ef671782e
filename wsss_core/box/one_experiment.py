"""The configuration of one experiment: its chain of variants, and what else it needs."""

from pathlib import Path
from typing import Any

from wsss_core.config.references import used_variants
from wsss_core.config.root import Config
from wsss_core.config.sections import SECTIONS
from wsss_core.config.stages import STAGES
from wsss_core.datasets.index_corrections import corrected_masks_in
from wsss_core.plan.artifacts import Artifact, all_artifacts
from wsss_core.plan.plan import Plan

FOR_PEOPLE_ONLY = (
    *("climb", "climb_scores", "erasing", "generated"),
    *("test_images", "test_predictions", "voc_submission", "masks", "listed_masks", "saliency"),
)
"""Stages that are left out of a box without maps: their files are pictures, or name places on this machine."""


def settings_of(config: Config, experiment: str) -> dict[str, Any]:
    """All settings that an experiment's results depend on, as in a YAML file.

    Args:
        config: a checked configuration.
        experiment: a name in it.

    Returns:
        JSON values; nothing about how and where things run.
    """
    used = used_variants(config, experiment)
    raw: dict[str, Any] = {"dataset": _plain(config.dataset)}
    for section in SECTIONS:
        variants = getattr(config, section)
        raw[section] = {name: _plain(variants[name]) for name in variants if (section, name) in used}
    raw["report"] = _plain(config.report)
    if config.extensions:
        raw["extensions"] = list(config.extensions)
    return {key: value for key, value in raw.items() if value}


def _plain(settings: Any) -> dict[str, Any]:
    plain: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True)
    return plain


def absolute_paths(settings: Any) -> list[str]:
    """The absolute paths in settings, which give away the names of this machine's folders, and perhaps of its users."""
    if isinstance(settings, str):
        return [settings] if Path(settings).is_absolute() or settings.startswith("~") else []
    inside = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return sorted({path for value in inside for path in absolute_paths(value)})


def needed_files(config: Config) -> list[str]:
    """Paths of the files that the settings name, except the data set's own and extensions."""
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
    """The artifacts of a box, each after those that it is made from."""
    artifacts = all_artifacts(plan.experiments.values())
    return [artifact for artifact in artifacts if with_maps or artifact.stage not in FOR_PEOPLE_ONLY]


def scores_are_there(plan: Plan) -> bool:
    """Whether there are scores. The data set's masks may be on another machine."""
    return any(
        Path(artifact.path(scores)).exists()
        for stages in plan.experiments.values()
        for stage, artifact in stages.items()
        if (scores := STAGES[stage].scores_file) is not None
    )
