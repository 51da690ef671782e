"""What the rules ask: which files they need, what determines their artifacts, and what their jobs may use.

Rules declare, and this decides. Functions that depend on wildcards are returned as functions of them, as Snakemake
takes them.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from wsss_core.config import load_config, read_yaml
from wsss_core.config.stages import STAGES, figure_stages
from wsss_core.datasets.formats import raw_dataset
from wsss_core.errors import UserError
from wsss_core.files.shards import shard_names
from wsss_core.jobs.gpu_lease import computes_on_gpus
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.job_needs import JobNeeds
from wsss_core.plan.of_wildcards import OfWildcards, Wildcards, with_signature
from wsss_core.plan.places import unfit_places
from wsss_core.plan.plan import Plan
from wsss_core.plan.score_conditions import (
    initialisation_in_words,
    score_conditions,
    subset_conditions,
    threshold_files,
)
from wsss_core.plan.sweeps import plan_sweeps
from wsss_core.plan.users_files import UsersFiles


class Rules(JobNeeds, UsersFiles):
    """A configuration's plan, as the rules see it."""

    def __init__(self, config: Mapping[str, Any], configuration_files: Sequence[Path | str] = ()) -> None:
        """Plan what a configuration asks for.

        Args:
            config: as Snakemake has read it, with what the command line changes.
            configuration_files: the files it is from, in which no key may be given twice.

        Raises:
            UserError: it is wrong, or its results could have no folder; all faults at once.
        """
        for file in configuration_files:
            read_yaml(file)  # says so when a key is given twice, which Snakemake does not
        self.plan = Plan(load_config(config))
        self.config = self.plan.config
        self.folder = str(self.plan.folder)
        self.sweeps = plan_sweeps(config, self.plan)
        self.points = {point.name: point for points in self.sweeps.values() for point in points}
        self.stages = {**self.plan.experiments, **{name: point.stages for name, point in self.points.items()}}
        """By experiment, or point of a sweep, the artifact of each stage it passes through."""
        if faults := list(unfit_places(self.plan, self.stages, self.sweeps)):  # before anything looks there
            raise UserError("\n".join(faults))
        generated = self.plan.dataset.upstream.get("generated")
        self.raw_root = str(generated.directory if generated else self.config.dataset.root)
        """The raw data set's folder: where the user has it, or where it is generated."""
        self.raw = raw_dataset(self.raw_root, self.config.dataset)
        self.has_masks = bool(self.config.dataset.generated) or self.raw.has_masks()
        self.masks: str | list[str] = self.plan.masks.path("masks.csv") if self.has_masks else []
        """The manifest of the masks, for what is made without as well."""
        self.saliency = [] if self.plan.saliency is None else [self.plan.saliency.path("saliency.csv")]
        """The table of the data set's saliency maps, if it has any."""
        scored = self.raw.scored_list()
        self.scored_list = [] if scored is None else [str(scored)]
        """The list of the training images that are scored; none if all are."""
        self.shrunken = [self.plan.dataset.path("images")] if self.config.dataset.long_side else []
        """The folder of the data set's shrunken images, which whatever reads images needs; none if none are shrunk."""
        self._shards_in = cache(self._find_shards)
        self.on_gpus = computes_on_gpus(self.config.runtime.device)

    def identity(self, stage: str) -> OfWildcards:
        """The artifact's identity, for ``params``: parameters, revision and what is upstream."""
        return with_signature(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).identity)

    def variant(self, stage: str) -> OfWildcards:
        """The name of the artifact's variant."""
        return lambda wildcards: self.plan.artifact(stage, wildcards.artifact).variant

    def initialisation(self, stage: str) -> OfWildcards:
        """What an artifact's weights had been trained on before, in words."""
        return lambda wildcards: initialisation_in_words(self.plan.artifact(stage, wildcards.artifact))

    def index(self, stage: str) -> dict[str, Any]:
        """The index, the names of the classes and, where images are shrunk, those: what all that reads images needs."""
        return {
            "index": self.upstream(stage, "dataset", "index.csv"),
            "classes": self.upstream(stage, "dataset", "classes.json"),
            "images": self.shrunken,
        }

    def upstream(self, stage: str, role: str, file: str) -> str | OfWildcards:
        """A file of the artifact that plays ``role`` for the artifact of ``stage``."""
        if role == "dataset" and all(a.upstream[role] is self.plan.dataset for a in self.plan.artifacts(stage)):
            return self.plan.dataset.path(file)  # so Snakemake need not ask for each job
        return with_signature(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).upstream[role].path(file))

    def upstream_if_any(self, stage: str, role: str, file: str) -> OfWildcards:
        """A file of the artifact that plays ``role`` for the artifact of ``stage``, if one does."""

        def found(wildcards: Wildcards) -> list[str]:
            artifacts = self.plan.artifact(stage, wildcards.artifact).upstream
            return [artifacts[role].path(file)] if role in artifacts else []

        return with_signature(found)

    def upstream_shards(self, stage: str, role: str) -> OfWildcards:
        """All shards of the artifact that plays ``role`` for the artifact of ``stage``."""
        return lambda wildcards: self.shard_paths(self.plan.artifact(stage, wildcards.artifact).upstream[role])

    def upstream_shard(self, stage: str, role: str) -> OfWildcards:
        """The shard with the job's own images, of the artifact that plays ``role``.

        All its shards, if it was made with another number of them. (All of them always would be right
        too, but costs shards times shards edges of the graph, and waiting for the slowest.)
        """

        def found(wildcards: Wildcards) -> list[str]:
            paths = self.shard_paths(self.plan.artifact(stage, wildcards.artifact).upstream[role])
            alike = len(paths) == int(wildcards.shards)
            return [paths[int(wildcards.shard)]] if alike else paths

        return with_signature(found)

    def shards_of(self, wildcard: str) -> OfWildcards:
        """The shards of the artifact whose stage is a wildcard."""
        return lambda wildcards: self.shard_paths(self.plan.artifact(getattr(wildcards, wildcard), wildcards.artifact))

    def shard_paths(self, artifact: Artifact) -> list[str]:
        """Paths of an artifact's shards: as many as it was made with, or as ``runtime.shards`` says."""
        shards = STAGES[artifact.stage].shards
        assert shards is not None
        return self._shards_in(artifact.path(shards[0]), shards[1])

    def _find_shards(self, folder: str, suffix: str) -> list[str]:
        """Once a folder and not once a job, as it looks at the disk."""
        names = shard_names(Path(folder), suffix, self.config.runtime.shards)
        return [os.path.join(folder, name) for name in names]

    def final_files(self, artifact: Artifact) -> list[str]:
        """The files that make an artifact complete."""
        stage = STAGES[artifact.stage]
        files = [artifact.path(file) for file in stage.files]
        if artifact.stage == "dataset":
            files += self.shrunken
        if stage.shards is not None:
            files += self.shard_paths(artifact)
        if artifact.parameters.get("keep_probabilities"):
            files += self._shards_in(artifact.path("probabilities"), ".h5")
        return files

    def artifact_files(self, stage: str) -> list[str]:
        """The final files of all artifacts of a stage that the experiments need."""
        return [file for artifact in self.plan.artifacts(stage) for file in self.final_files(artifact)]

    def starting_weights(self, stage: str) -> OfWildcards:
        """The weights that a network starts from: a classifier's or a trunk's, or an imported network's; maybe none."""

        def found(wildcards: Wildcards) -> str | list[str]:
            artifact = self.plan.artifact(stage, wildcards.artifact)
            for role in ("initial", "start_from"):
                if role in artifact.upstream:
                    return artifact.upstream[role].path("weights.safetensors")
            return artifact.parameters["weights"] or []

        return found

    def masks_of(self, stage: str) -> OfWildcards:
        """The manifest of the masks of some images that a network is trained on beside its labels, if there are any."""

        def found(wildcards: Wildcards) -> list[str]:
            upstream = self.plan.artifact(stage, wildcards.artifact).upstream
            return [
                upstream[role].path("masks.csv") for role in ("listed_masks", "corrected_masks") if role in upstream
            ]

        return found

    def training_labels(self, stage: str, role: str) -> OfWildcards:
        """The label maps that a network is trained on; none if it is imported and used as it is."""

        def found(wildcards: Wildcards) -> list[str]:
            upstream = self.plan.artifact(stage, wildcards.artifact).upstream
            return self.final_files(upstream[role]) if role in upstream else []

        return found

    def threshold_scores(self, wildcards: Wildcards) -> str:
        """The scores that a threshold is chosen by: of all training images, or of the listed ones."""
        artifact = self.plan.artifact("threshold", wildcards.artifact)
        maps = artifact.upstream["maps"]
        return (artifact if artifact.parameters["best_on"] == "subset" else maps).path("scores.csv")

    def walked(self, wildcards: Wildcards) -> bool:
        """Whether maps have walked: those that are scored, or that a threshold is chosen for."""
        stage = getattr(wildcards, "maps", None) or self._threshold(wildcards).upstream["maps"].stage
        return bool(stage == "walked_cams")

    def conditions(self, wildcard: str) -> OfWildcards:
        """What the scores of an artifact, whose stage is a wildcard, are made under, in words."""
        dataset = self.config.dataset
        return lambda wildcards: score_conditions(
            self.plan.artifact(getattr(wildcards, wildcard), wildcards.artifact),
            dataset.scored_list,
            dataset.scored_val,
        )

    def scored_images(self, wildcards: Wildcards) -> list[str]:
        """The list of the images that an artifact of a stage is scored on; none if all are."""
        return [] if wildcards.stage == "predictions" else self.scored_list

    def index_of_objects(self, wildcards: Wildcards) -> list[str]:
        """The index that tells which images show an object, if an artifact of a stage is scored on those alone."""
        alone = wildcards.stage == "predictions" and self.config.dataset.scored_val == "with_objects"
        return [self.plan.dataset.path("index.csv")] if alone else []

    def conditions_of_subset(self, wildcards: Wildcards) -> dict[str, str]:
        """The same of maps that are scored on the images of a list."""
        return subset_conditions(self._threshold(wildcards))

    def thresholds_in_conditions(self, wildcards: Wildcards) -> list[str]:
        """Files with the thresholds that the conditions name."""
        return threshold_files(self.plan.artifact(wildcards.stage, wildcards.artifact))

    def _threshold(self, wildcards: Wildcards) -> Artifact:
        return self.plan.artifact("threshold", wildcards.artifact)

    def names(self, stage: str, fits: Callable[[Mapping[str, Any]], bool] = lambda parameters: True) -> str:
        """A pattern that fits the names of a stage's artifacts with such parameters, and nothing if there are none."""
        names = [artifact.name for artifact in self.plan.artifacts(stage) if fits(artifact.parameters)]
        return "|".join(map(re.escape, names)) or "(?!)"

    def score_files(self, artifacts: Mapping[str, Artifact]) -> dict[str, str]:
        """The scores of one experiment's artifacts, by what is scored; none without masks."""
        if not self.has_masks:
            return {}
        return {
            figure: artifacts[stage].path(str(STAGES[stage].scores_file))
            for figure, stage in figure_stages().items()
            if stage in artifacts
        }

    def links_of(self, experiments: Iterable[str]) -> list[str]:
        """The links of experiments: each is there once all its artifacts are complete."""
        return [f"{self.folder}/experiments/{experiment}/links.json" for experiment in experiments]

    def scores_of(self, experiments: Iterable[str]) -> list[str]:
        """The score files of experiments, or of points of a sweep."""
        return [file for name in experiments for file in self.score_files(self.stages[name]).values()]

    def scores_of_sweep(self, wildcards: Wildcards) -> list[str]:
        """The score files of a sweep's points."""
        return self.scores_of(point.name for point in self.sweeps[wildcards.sweep])

    def links_of_sweep(self, wildcards: Wildcards) -> list[str]:
        """The links of a sweep's points."""
        return self.links_of(point.name for point in self.sweeps[wildcards.sweep])

    def files_of_experiment(self, wildcards: Wildcards) -> list[str]:
        """All that makes an experiment, or a point of a sweep, complete."""
        return [file for artifact in self.stages[wildcards.experiment].values() for file in self.final_files(artifact)]

    def directories_of_experiment(self, wildcards: Wildcards) -> dict[str, str]:
        """By stage, the directory of an experiment's artifact."""
        return directories(self.stages[wildcards.experiment])

    def sweep_tables(self) -> list[str]:
        """The tables of all sweeps."""
        return [f"{self.folder}/sweeps/{sweep}/table.md" for sweep in self.sweeps]

    def climb_scores(self) -> list[str]:
        """The tables of the seeds after every step of AdvCAM's climbs."""
        return [file for artifact in self.plan.climb_scores.values() for file in self.final_files(artifact)]

    def climb_score_tables(self) -> list[str]:
        """The table and the plot of all of these; none if no setting asks for them."""
        return [f"{self.folder}/climb_scores.{ending}" for ending in ("csv", "png")] if self.plan.climb_scores else []

    def wanted_climb_scores(self, wildcards: Wildcards) -> list[str]:
        """The same for whoever asks for nothing else.

        Raises:
            UserError: no setting asks for them.
        """
        if not self.plan.climb_scores:
            raise UserError("cams: none that an experiment uses has 'score_every_step: true' (a key of method: advcam)")
        return self.climb_score_tables()

    def conditions_of_climb(self, wildcards: Wildcards) -> dict[str, str]:
        """What the maps of a climb that is scored are made under, in words."""
        scored = next(name for name, artifact in self.plan.climb_scores.items() if artifact.name == wildcards.artifact)
        return score_conditions(self.plan.experiments[scored]["cams"], self.config.dataset.scored_list)

    def voc_submissions(self, wildcards: Wildcards) -> list[str]:
        """The archives for the VOC server of all experiments.

        Raises:
            UserError: the configuration lacks something for them.
        """
        return [artifact.path("results.tgz") for artifact in self.plan.voc_submissions().values()]


def directories(stages: Mapping[str, Artifact]) -> dict[str, str]:
    """By stage, the directory of its artifact."""
    return {stage: str(artifact.directory) for stage, artifact in stages.items()}
