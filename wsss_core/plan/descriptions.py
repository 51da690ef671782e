"""What tables, pages and archives need to know about the experiments, as plain values for jobs."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wsss_core.config import Config
from wsss_core.config.background import Threshold
from wsss_core.config.guesses import guesses_of
from wsss_core.config.references import used_variants
from wsss_core.config.stages import STAGES
from wsss_core.evaluation.classifier_verdict import read_verdict, verdict_in_text
from wsss_core.plan.artifacts import Artifact, all_artifacts
from wsss_core.plan.background_in_words import source_of_threshold
from wsss_core.plan.rules import Rules, directories
from wsss_core.plan.score_conditions import labels_in_words

Stages = Mapping[str, Artifact]
"""The artifact of each stage that an experiment passes through."""


def described_experiments(rules: Rules) -> dict[str, dict[str, Any]]:
    """The description of each experiment, see :func:`described`."""
    return {name: described(rules, rules.config, name, stages) for name, stages in rules.plan.experiments.items()}


def described(rules: Rules, config: Config, experiment: str, stages: Stages) -> dict[str, Any]:
    """What a table says about an experiment besides its scores, and the files of its scores."""
    settings = config.experiments[experiment]
    cams = config.cams[settings.cams] if settings.cams else None
    affinity = config.affinities[settings.affinity] if settings.affinity else None
    background = affinity.pseudo_labels.background if affinity else None
    seed_threshold = described_threshold(cams.threshold, stages.get("seed_threshold")) if cams else None
    walk_threshold = None
    if background and background.times_seed_threshold:
        walk_threshold = {**(seed_threshold or {}), "times": background.times_seed_threshold}
    elif background and background.threshold:
        walk_threshold = described_threshold(background.threshold, stages.get("threshold"))
    return {
        "labels": labels_in_words(settings, stages.get("segmenter")),
        "seed_threshold": seed_threshold,
        "walk_threshold": walk_threshold,
        "published": settings.published.model_dump() if settings.published else None,
        "guessed": guesses_of({(s, name): getattr(config, s)[name] for s, name in used_variants(config, experiment)}),
        "classifier": described_classifier(stages["classifier"]) if "classifier" in stages else None,
        "scores": rules.score_files(stages),
    }


def described_threshold(choice: Threshold, chosen: Artifact | None) -> dict[str, Any]:
    """A threshold and its source: the number itself, or the file of the artifact that chooses it."""
    return {
        "fixed": choice.fixed,
        "file": chosen.path("threshold.json") if chosen else None,
        "source": source_of_threshold(choice),
    }


def described_classifier(artifact: Artifact) -> dict[str, str]:
    """The description of a classifier: its name, and the files of its scores and its verdict."""
    files = {"scores": artifact.path("scores.csv"), "verdict": artifact.path("verdict.json")}
    return {"variant": artifact.variant, **files}


def described_classifiers(rules: Rules) -> list[dict[str, str]]:
    """The descriptions of all classifiers that the experiments need."""
    return [described_classifier(artifact) for artifact in classifiers_of(rules)]


def described_points(rules: Rules, sweep: str) -> list[dict[str, Any]]:
    """The points of a sweep, for its report."""
    return [
        {
            "name": point.name,
            "values": dict(point.values),
            # Published figures are not for these values.
            "described": {**described(rules, point.plan.config, point.experiment, point.stages), "published": None},
        }
        for point in rules.sweeps[sweep]
    ]


def title_of_sweep(rules: Rules, sweep: str) -> str:
    """The heading of a sweep's table and plot."""
    return f"{rules.config.dataset.name}, sweep {sweep}: experiment {rules.config.sweeps[sweep].experiment}"


def classifiers_of(rules: Rules) -> list[Artifact]:
    """All classifiers that the experiments need, including those that others are trained with."""
    return [artifact for artifact in all_artifacts(rules.plan.experiments.values()) if artifact.stage == "classifier"]


def files_of_classifiers(rules: Rules) -> list[str]:
    """The files that say how well the classifiers recognise the classes."""
    return [file for files in described_classifiers(rules) for file in (files["scores"], files["verdict"])]


def warnings_of_classifiers(rules: Rules) -> Iterator[str]:
    """Warnings about classifiers for the end of a run, as earlier ones get lost among other lines or in other logs."""
    for artifact in classifiers_of(rules):
        verdict_json = described_classifier(artifact)["verdict"]
        if os.path.exists(verdict_json) and (verdict := read_verdict(verdict_json)).is_warning:
            yield f"Warning: {verdict_in_text(verdict)}"


def described_artifacts(rules: Rules) -> list[dict[str, Any]]:
    """All artifacts that experiments need, and what they are made from, each after those."""
    return [
        {
            "stage": artifact.stage,
            "variant": artifact.variant,
            "directory": str(artifact.directory),
            "upstream": directories(artifact.upstream),
        }
        for artifact in all_artifacts(rules.plan.experiments.values())
    ]


def described_maps(rules: Rules, stages: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """By experiment and stage, the files of the class maps and label maps that are shown."""
    return {
        name: {stage: rules.shard_paths(artifacts[stage]) for stage in stages if stage in artifacts}
        for name, artifacts in rules.plan.experiments.items()
    }


def pictured_stages() -> list[str]:
    """The stages whose maps a gallery shows."""
    return [name for name, stage in STAGES.items() if stage.picture]


def seed_thresholds(rules: Rules) -> dict[str, Any]:
    """By experiment with class maps, the threshold of its seed."""
    return {
        name: described["seed_threshold"]
        for name, described in described_experiments(rules).items()
        if "cams" in rules.plan.experiments[name]
    }


def described_corrections(rules: Rules) -> list[dict[str, Any]]:
    """For each experiment with corrected masks: the masks, its pseudo labels, and the same experiment without masks."""
    described = []
    for name, stages in rules.plan.experiments.items():
        if "corrected_masks" not in stages:
            continue
        chain = rules.config.experiments[name]
        keys = ("cams", "affinity", "segmenter", "labels")
        without = next(
            (
                other
                for other, settings in rules.config.experiments.items()
                if settings.masks_of is None and all(getattr(settings, key) == getattr(chain, key) for key in keys)
            ),
            None,
        )
        before = rules.score_files(rules.plan.experiments[without]) if without else {}
        described.append(
            {
                "experiment": name,
                "folder": stages["corrected_masks"].parameters["folder"],
                "masks": stages["corrected_masks"].path("masks.csv"),
                "pseudo_labels": rules.shard_paths(stages["pseudo_labels"]) if "pseudo_labels" in stages else [],
                "without": without,
                "scores": rules.score_files(stages).get("val"),
                "scores_without": before.get("val"),
            }
        )
    return described


def described_erasings(rules: Rules) -> dict[str, str]:
    """By classifier, the file of its recorded erasings."""
    return {variant: erasing.path("erasing.h5") for variant, erasing in rules.plan.erasings.items()}


def _threshold_of_climb(rules: Rules, name: str) -> dict[str, Any]:
    """The threshold of the maps that an experiment's climb draws: the seed's, or if classes are balanced, their own."""
    chosen = rules.plan.climb_thresholds.get(name, rules.plan.experiments[name].get("seed_threshold"))
    return described_threshold(rules.config.cams[str(rules.config.experiments[name].cams)].threshold, chosen)


def described_climb_scores(rules: Rules) -> dict[str, dict[str, Any]]:
    """By CAM variant, the seed's scores after every step of its climb, and the seed's threshold."""
    scored = {}
    for name, artifact in rules.plan.climb_scores.items():
        variant = str(rules.config.experiments[name].cams)
        threshold = _threshold_of_climb(rules, name)
        files = {"scores": artifact.path("scores.csv"), "amplification": artifact.path("amplification.csv")}
        scored[variant] = {**files, "threshold": threshold}
    return scored


def thresholds_of_climb_scores(rules: Rules) -> list[str]:
    """The files with these experiments' seed thresholds, as far as they are chosen."""
    files = [scored["threshold"]["file"] for scored in described_climb_scores(rules).values()]
    return [file for file in files if file is not None]


def described_climbs(rules: Rules) -> dict[str, dict[str, Any]]:
    """By CAM variant, the file of its recorded climbs and its seed's threshold."""
    climbs = {}
    for name, climb in rules.plan.climbs.items():
        variant = str(rules.config.experiments[name].cams)
        threshold = _threshold_of_climb(rules, name)
        climbs[variant] = {"file": climb.path("climb.h5"), "threshold": threshold}
    return climbs
