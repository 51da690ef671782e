"""What the report compares experiments with: the plain CAM, and the same experiment with other seeds."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from wsss_core.config import Config
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.classifiers import OrdinaryClassifier
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.descriptions import described
from wsss_core.plan.rules import Rules

BLOCK, KEY = "optimisation", "seed"
"""Where the seed of a training stands."""


def described_comparison(rules: Rules) -> dict[str, dict[str, Any]]:
    """What the report needs to compare experiments.

    Returns:
        By experiment: ``plain_cam``, whether its maps are an ordinary classifier's own; ``chain``, the affinity and
        segmenter after the maps; ``trunk``, the classifier's; ``same``, the other experiments that differ from it only
        in seeds; ``repeats``, what a table says of these, and of such points of sweeps.
    """
    compared = {}
    for name, others in repeats_of(rules).items():
        settings = rules.config.experiments[name]
        cams = rules.config.cams[settings.cams] if settings.cams else None
        classifier = rules.config.classifiers[cams.classifier] if cams else None
        compared[name] = {
            "plain_cam": type(cams) is MultiscaleCams
            and type(classifier) is OrdinaryClassifier
            and not cams.balance_classes,
            "chain": [settings.affinity, settings.segmenter],
            "trunk": classifier.backbone if classifier else None,
            "same": [other for other in others if other not in rules.points],
            "repeats": [_described(rules, other) for other in others],
        }
    return compared


def files_of_repeats(rules: Rules) -> list[str]:
    """The scores and the links of such points of sweeps."""
    points = {name: None for others in repeats_of(rules).values() for name in others if name in rules.points}
    return [*rules.scores_of(points), *rules.links_of(points)]


def repeats_of(rules: Rules) -> dict[str, list[str]]:
    """By experiment, the other experiments and the points of sweeps that differ from it only in seeds."""
    known: dict[str, str] = {}
    alike = {name: _identity(rules.config, name, rules.stages[name], known) for name in rules.config.experiments}
    for name, point in rules.points.items():
        alike[name] = _identity(point.plan.config, point.experiment, point.stages, known)
    return {
        name: [other for other, identity in alike.items() if other != name and identity == alike[name]]
        for name in rules.config.experiments
    }


def _identity(config: Config, experiment: str, stages: Mapping[str, Artifact], known: dict[str, str]) -> str:
    """All that determines an experiment's scores but the seeds."""
    cams = config.experiments[experiment].cams
    # A fixed threshold is part of no map, but of the maps' score.
    threshold = config.cams[cams].threshold.model_dump(mode="json") if cams else None
    return _digest([threshold, {stage: _without_seeds(artifact, known) for stage, artifact in stages.items()}])


def _without_seeds(artifact: Artifact, known: dict[str, str]) -> str:
    """A digest of all that determines an artifact but the seeds of trainings; ``known`` has those found before."""
    if artifact.digest not in known:
        upstream = {role: _without_seeds(needed, known) for role, needed in artifact.upstream.items()}
        known[artifact.digest] = _digest([artifact.stage, _seedless(artifact.parameters), upstream])
    return known[artifact.digest]


def _seedless(value: Any, block: str = "") -> Any:
    """Parameters without the seeds in blocks of this name."""
    if not isinstance(value, Mapping):
        return value
    return {key: _seedless(item, key) for key, item in value.items() if (block, key) != (BLOCK, KEY)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _described(rules: Rules, name: str) -> dict[str, Any]:
    """What a table says of an experiment or a point, as far as its scores go."""
    point = rules.points.get(name)
    config, experiment = (rules.config, name) if point is None else (point.plan.config, point.experiment)
    return {**described(rules, config, experiment, rules.stages[name]), "published": None, "classifier": None}
