"""Which artifacts an experiment is made of, how they hang together, and where each one lies.

An artifact's directory is named by its variant and by the digest of everything that determines
its content: stage, revision of the stage's code, parameters, and the upstream artifacts' digests.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from wsss_core.config import Config, Experiment
from wsss_core.config.background import Threshold
from wsss_core.config.extensions import source_of
from wsss_core.config.parameters import Parameters
from wsss_core.config.refinement import LearnedAffinity

STAGE_REVISIONS = {
    "generated": 1,
    "dataset": 1,
    "masks": 1,
    "listed_masks": 1,
    "backbone": 1,
    "classifier": 1,
    "cams": 1,
    "threshold": 1,
    "refined_seeds": 1,
    "affinity_labels": 2,
    "affinity": 2,
    "walked_cams": 1,
    "pseudo_labels": 2,
    "segmenter": 1,
    "predictions": 1,
}
"""Every stage's revision; raise it when the stage's code gives results of another meaning."""

DIGEST_LENGTH = 10


@dataclass(frozen=True)
class Artifact:
    """What one stage makes from given parameters and upstream artifacts."""

    stage: str
    """Name of the stage; a key of ``STAGE_REVISIONS``."""
    variant: str
    """Human part of the directory's name: the variants it was made with."""
    parameters: Mapping[str, Any]
    """Everything configurable that determines the content, as plain JSON values."""
    upstream: Mapping[str, "Artifact"]
    """The artifacts it is made from, by the part they play."""
    stage_folder: Path
    """``results/<dataset>/<stage>``."""
    digest: str = field(init=False)
    """Hexadecimal digits that stand for the identity."""

    def __post_init__(self) -> None:
        """Compute the digest."""
        identity = {
            "stage": self.stage,
            "revision": STAGE_REVISIONS[self.stage],
            "parameters": self.parameters,
            "upstream": {role: artifact.digest for role, artifact in self.upstream.items()},
        }
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]
        object.__setattr__(self, "digest", digest)

    @property
    def name(self) -> str:
        """Name of the directory: variant and digest."""
        return f"{self.variant}-{self.digest}"

    @property
    def directory(self) -> Path:
        """The artifact's directory."""
        return self.stage_folder / self.name

    def path(self, *parts: str) -> str:
        """Path of a file in the directory, as text (what Snakemake compares)."""
        return str(self.directory.joinpath(*parts))

    @property
    def identity(self) -> dict[str, Any]:
        """What provenance records: stage, revision, digest, parameters and upstream directories."""
        return {
            "stage": self.stage,
            "revision": STAGE_REVISIONS[self.stage],
            "digest": self.digest,
            "parameters": dict(self.parameters),
            "upstream": {role: str(artifact.directory) for role, artifact in self.upstream.items()},
        }


class Plan:
    """All artifacts that a configuration's experiments need."""

    def __init__(self, config: Config) -> None:
        """Lay out the artifacts of every experiment of a checked configuration."""
        self.config = config
        self.folder = config.runtime.results / config.dataset.name
        self._artifacts: dict[tuple[str, str], Artifact] = {}
        self.dataset = self._plan_dataset()
        self.masks = self._artifact("masks", config.dataset.format, {}, {"dataset": self.dataset})
        self.experiments = {name: self._plan_experiment(item) for name, item in config.experiments.items()}
        """By experiment, the artifact of each stage it passes through."""

    def artifact(self, stage: str, name: str) -> Artifact:
        """The artifact of this stage in the directory of this name.

        Raises:
            KeyError: no experiment of the configuration needs it.
        """
        return self._artifacts[stage, name.rpartition("-")[2]]

    def artifacts(self, stage: str | None = None) -> list[Artifact]:
        """All artifacts, or those of one stage, in the order of the experiments."""
        return [artifact for artifact in self._artifacts.values() if stage in (None, artifact.stage)]

    def _artifact(
        self, stage: str, variant: str, parameters: BaseModel | Mapping[str, Any], upstream: Mapping[str, Artifact]
    ) -> Artifact:
        """The artifact with this identity: the one planned before under any name, or a new one."""
        plain = parameters.model_dump(mode="json") if isinstance(parameters, BaseModel) else dict(parameters)
        artifact = Artifact(stage, variant, plain, upstream, self.folder / stage)
        return self._artifacts.setdefault((stage, artifact.digest), artifact)

    def _plan_dataset(self) -> Artifact:
        dataset = self.config.dataset
        upstream = {}
        if dataset.generate is not None:
            upstream["generated"] = self._artifact("generated", "creatures", dataset.generate, {})
        # The name decides the results folder and the generator's settings come in through upstream.
        parameters = dataset.model_dump(mode="json", exclude={"name", "generate"})
        return self._artifact("dataset", dataset.format, parameters, upstream)

    def _plan_backbone(self, name: str) -> Artifact:
        return self._artifact("backbone", name, self.config.backbones[name], {})

    def _plan_classifier(self, name: str) -> Artifact:
        settings = self.config.classifiers[name]
        upstream = {"dataset": self.dataset}
        if settings.start_from is not None:
            upstream["start_from"] = self._plan_classifier(settings.start_from)
        elif settings.weights is None:
            upstream["backbone"] = self._plan_backbone(settings.backbone)
        ordinary = getattr(settings, "ordinary", None)
        if ordinary is not None:
            upstream["ordinary"] = self._plan_classifier(ordinary)
        parameters = self._with_trunk(settings, settings.backbone, exclude=("start_from", "ordinary"))
        return self._artifact("classifier", name, parameters, upstream)

    def _with_trunk(self, settings: Parameters, backbone: str, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """The settings as JSON values, with the trunk's own in place of its variant's name."""
        parameters = settings.model_dump(mode="json", exclude={"backbone", *exclude})
        return {
            **parameters,
            **_extension(settings),
            "trunk": self.config.backbones[backbone].trunk.model_dump(mode="json"),
        }

    def _plan_cams(self, name: str) -> Artifact:
        settings = self.config.cams[name]
        # The threshold does not change the maps: seeds are scored at every threshold at once.
        parameters = {**settings.model_dump(mode="json", exclude={"classifier", "threshold"}), **_extension(settings)}
        upstream = {"dataset": self.dataset, "classifier": self._plan_classifier(settings.classifier)}
        return self._artifact("cams", name, parameters, upstream)

    def _plan_start(self, settings: Any) -> Artifact:
        """The artifact whose weights a later network's trunk starts from."""
        if settings.backbone is not None:
            return self._plan_backbone(settings.backbone)
        return self._plan_classifier(settings.classifier)

    def _trunk_of(self, settings: Any) -> str:
        """The variant in ``backbones`` that says which trunk a later network has."""
        return settings.backbone or self.config.classifiers[settings.classifier].backbone

    def _plan_experiment(self, experiment: Experiment) -> dict[str, Artifact]:
        stages: dict[str, Artifact] = {}
        if experiment.cams is not None:
            self._plan_pseudo_labels(experiment, stages)
        if experiment.segmenter is not None:
            settings = self.config.segmenters[experiment.segmenter]
            trained = self._with_trunk(settings, self._trunk_of(settings), exclude=("classifier", "prediction"))
            upstream = {"dataset": self.dataset}
            if settings.optimisation.epochs > 0:
                labels = self._plan_labels(experiment, stages)
                variant = "-".join([*labels, experiment.segmenter])
                upstream |= {"listed_masks" if word == "some_masks" else "labels": a for word, a in labels.items()}
                if experiment.masks_of is not None:
                    trained["masks_of"] = experiment.masks_of.model_dump(mode="json")
            else:  # an imported network, used as it is, whatever the labels
                variant = experiment.segmenter
            if settings.weights is None:
                upstream["initial"] = self._plan_start(settings)
            stages["segmenter"] = self._artifact("segmenter", variant, trained, upstream)
            upstream = {"dataset": self.dataset, "segmenter": stages["segmenter"]}
            stages["predictions"] = self._artifact("predictions", variant, settings.prediction, upstream)
        return stages

    def _plan_labels(self, experiment: Experiment, stages: dict[str, Artifact]) -> dict[str, Artifact]:
        """What a segmenter is trained on, in a word each."""
        labels = {} if experiment.labels == "masks" else {stages["pseudo_labels"].variant: stages["pseudo_labels"]}
        if experiment.masks_of is not None:
            subset = {"subset": experiment.masks_of.file}
            stages["listed_masks"] = self._artifact("listed_masks", "listed", subset, {"masks": self.masks})
            labels["some_masks"] = stages["listed_masks"]
        return labels or {"masks": self.masks}

    def _plan_threshold(self, choice: Threshold, maps: Artifact) -> Artifact:
        """The choice of a threshold by the scores of ``maps``."""
        parameters = choice.model_dump(mode="json", include={"best_on", "subset"})
        return self._artifact("threshold", maps.variant, parameters, {"maps": maps, "masks": self.masks})

    def _plan_pseudo_labels(self, experiment: Experiment, stages: dict[str, Artifact]) -> None:
        assert experiment.cams is not None
        cams = stages["cams"] = self._plan_cams(experiment.cams)
        stages["classifier"] = cams.upstream["classifier"]
        seed_threshold = self.config.cams[experiment.cams].threshold
        if seed_threshold.fixed is None:
            stages["seed_threshold"] = self._plan_threshold(seed_threshold, cams)
        if experiment.affinity is None:
            return
        settings = self.config.affinities[experiment.affinity]
        variant = f"{experiment.cams}-{experiment.affinity}"
        maps = cams
        if isinstance(settings, LearnedAffinity):
            maps = self._plan_walk(settings, variant, seed_threshold, stages)
        background = settings.pseudo_labels.background
        parameters = {"pseudo_labels": settings.pseudo_labels.model_dump(mode="json")}
        upstream = {"dataset": self.dataset, "maps": maps}
        if background.threshold is not None and background.threshold.fixed is None:
            stages["threshold"] = upstream["threshold"] = self._plan_threshold(background.threshold, maps)
        _add_seed_threshold(background.times_seed_threshold is not None, seed_threshold, stages, parameters, upstream)
        stages["pseudo_labels"] = self._artifact("pseudo_labels", variant, parameters, upstream)

    def _plan_walk(
        self, settings: LearnedAffinity, variant: str, seed_threshold: Threshold, stages: dict[str, Artifact]
    ) -> Artifact:
        """What lies between the class maps and the pseudo labels: labels, training, walk."""
        cams, labels = stages["cams"], settings.labels
        # Scored and not used, so nothing else depends on it. Affinities may share it, and the labels below: neither is
        # named by one of them.
        parameters: dict[str, Any] = {
            "background": labels.refined_seed.model_dump(mode="json"),
            "crf": labels.crf.model_dump(mode="json"),
        }
        upstream = {"dataset": self.dataset, "cams": cams}
        follows = labels.refined_seed.times_seed_threshold is not None
        _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
        stages["refined_seeds"] = self._artifact("refined_seeds", cams.variant, parameters, upstream)
        parameters = {"labels": labels.model_dump(mode="json", exclude={"refined_seed"})}
        if settings.optimisation.epochs > 0:  # else it is an imported network, used as it is
            upstream = {"dataset": self.dataset, "cams": cams}
            follows = any(score.times_seed_threshold is not None for score in (labels.foreground, labels.background))
            _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
            stages["affinity_labels"] = self._artifact("affinity_labels", cams.variant, parameters, upstream)
        parameters = self._with_trunk(
            settings, self._trunk_of(settings), exclude=("classifier", "labels", "walk", "pseudo_labels")
        )
        upstream = {"dataset": self.dataset}
        if "affinity_labels" in stages:
            upstream["affinity_labels"] = stages["affinity_labels"]
        if settings.weights is None:
            upstream["initial"] = self._plan_start(settings)
        affinity = stages["affinity"] = self._artifact("affinity", variant, parameters, upstream)
        parameters = {
            "method": parameters["method"],
            "walk": settings.walk.model_dump(mode="json"),
            "walked_alpha": settings.pseudo_labels.background.walked_alpha,
            **_extension(settings),
        }
        upstream = {"dataset": self.dataset, "cams": cams, "affinity": affinity}
        stages["walked_cams"] = self._artifact("walked_cams", variant, parameters, upstream)
        return stages["walked_cams"]


def _add_seed_threshold(
    follows: bool,
    seed_threshold: Threshold,
    stages: Mapping[str, Artifact],
    parameters: dict[str, Any],
    upstream: dict[str, Artifact],
) -> None:
    """Make the seed's threshold part of an artifact, if it follows that: as a number, or as what is upstream."""
    parameters["seed_threshold"] = seed_threshold.fixed if follows else None
    if follows and seed_threshold.fixed is None:
        upstream["seed_threshold"] = stages["seed_threshold"]


def _extension(settings: Parameters) -> dict[str, Any]:
    """The extension that the settings' kind comes from, as a parameter; nothing for the package's own kinds."""
    source = source_of(settings)
    return {} if source is None else {"extension": dict(source)}
