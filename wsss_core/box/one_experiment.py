"""The configuration of one experiment alone: its chain of variants, and what it needs besides."""

from pathlib import Path
from typing import Any

from wsss_core.config.root import REFERENCES, Config
from wsss_core.datasets.index_corrections import corrected_masks_in


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
