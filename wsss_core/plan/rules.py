"""What the rules ask: which files they need, what determines their artifacts, and what their jobs may use.

Rules declare, and this decides. Functions that depend on wildcards are returned as functions of them, as Snakemake
takes them.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from wsss_core.config import load_config, read_yaml
from wsss_core.config.stages import DEFAULT_RESOURCES, GPU_THREADS, STAGES, averaging_stage, figure_stages
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.image_ids import folders_in
from wsss_core.datasets.index_corrections import corrected_masks_in
from wsss_core.datasets.index_sam_masks import state_of_masks
from wsss_core.errors import UserError
from wsss_core.files.shards import shard_names
from wsss_core.jobs.gpu_lease import computes_on_gpus
from wsss_core.jobs.gpu_memory import told_by
from wsss_core.plan.artifacts import Artifact, averages
from wsss_core.plan.places import unfit_places
from wsss_core.plan.plan import Plan
from wsss_core.plan.score_conditions import (
    initialisation_in_words,
    score_conditions,
    subset_conditions,
    threshold_files,
)
from wsss_core.plan.sweeps import plan_sweeps

Wildcards = Any
"""Snakemake's: an attribute for each wildcard of the rule."""
OfWildcards = Callable[[Wildcards], Any]


class Rules:
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
        self._on_gpus = computes_on_gpus(self.config.runtime.device)

    def log(self, job: str) -> str:
        """A job's log: ``<rule>/<what tells its jobs apart>``, with wildcards."""
        return f"{self.folder}/logs/{job}.log"

    def benchmark(self, job: str) -> str:
        """Where Snakemake writes what a job took."""
        return f"{self.folder}/benchmarks/{job}.tsv"

    def threads(self, rule: str) -> int:
        """CPU cores of a job: those that are asked for, or the default, which is another one beside a GPU."""
        asked = self.config.resources.get(rule, DEFAULT_RESOURCES[rule])
        if rule not in GPU_THREADS or (rule in self.config.resources and "threads" in asked.model_fields_set):
            return asked.threads
        return GPU_THREADS[rule] if asked.gpu and self._on_gpus else DEFAULT_RESOURCES[rule].threads

    def resources(self, rule: str) -> dict[str, Any]:
        """Memory, time and, of a rule that computes on one, GPUs that a job asks for.

        An attempt after a failure asks for more memory and time, up to what ``runtime`` says there is; but for no more
        memory if it was a GPU's that was full.
        """
        asked = self.config.resources.get(rule, DEFAULT_RESOURCES[rule])

        def growing(requested: int, most: int | None) -> Any:
            return _looked_up(lambda wildcards, attempt: min(filter(None, [attempt * requested, most])))

        def memory(wildcards: Wildcards, attempt: int) -> int:
            if attempt > 1 and asked.gpu and self._gpu_was_full(rule, wildcards):
                attempt = 1
            return min(filter(None, [attempt * asked.mem_mb, runtime.max_mem_mb]))

        runtime = self.config.runtime
        resources: dict[str, Any] = {
            "mem_mb": _looked_up(memory),
            "runtime": growing(asked.runtime, runtime.max_runtime),
        }
        if DEFAULT_RESOURCES[rule].gpu:
            resources["gpu"] = 0 if runtime.device == "cpu" else asked.gpu
        elif stage := averaging_stage(rule):
            resources["gpu"] = 0 if runtime.device == "cpu" else self._gpu_to_average(stage)
        return resources

    def _gpu_to_average(self, stage: str) -> OfWildcards:
        """One GPU for a job that refines scores by PAR or PAMR; a CRF computes on the CPU."""
        averaging = {artifact.name for artifact in self.plan.artifacts(stage) if averages(artifact)}
        return _looked_up(lambda wildcards: int(wildcards.artifact in averaging))

    def _gpu_was_full(self, rule: str, wildcards: Wildcards) -> bool:
        """Whether the attempt before, whose log is still there, ended for want of a GPU's memory."""
        shard = f".{wildcards.shard}-of-{wildcards.shards}" if hasattr(wildcards, "shard") else ""
        return any(told_by(log) for log in Path(self.folder, "logs", rule).glob(f"*{wildcards.artifact}{shard}.log"))

    def identity(self, stage: str) -> OfWildcards:
        """The artifact's identity, for ``params``: parameters, revision and what is upstream."""
        return _looked_up(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).identity)

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
        return _looked_up(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).upstream[role].path(file))

    def upstream_if_any(self, stage: str, role: str, file: str) -> OfWildcards:
        """A file of the artifact that plays ``role`` for the artifact of ``stage``, if one does."""

        def found(wildcards: Wildcards) -> list[str]:
            artifacts = self.plan.artifact(stage, wildcards.artifact).upstream
            return [artifacts[role].path(file)] if role in artifacts else []

        return _looked_up(found)

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

        return _looked_up(found)

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

    def raw_inputs(self, paths: Iterable[Path]) -> list[str]:
        """Those of the raw data set's folders and files that are there (or will be generated).

        A missing one is no input: ``index_dataset`` names it together with all other faults. Nor is an inner folder
        with braces in its name, which Snakemake would take for wildcards: that its files are others is not seen.
        """
        named = [path for path in paths if "{" not in str(path)]
        return [str(path) for path in named if self.config.dataset.generated or path.exists()]

    def backbone_file(self, wildcards: Wildcards) -> list[str]:
        """The file that a backbone's weights are taken from, if they are.

        Said here that it is missing, and not for all targets: data can be checked without weights.

        Raises:
            UserError: it is missing.
        """
        artifact = self.plan.artifact("backbone", wildcards.artifact)
        weights: str = artifact.parameters["weights"]
        if not weights.endswith(".safetensors"):
            return []
        if not os.path.isfile(weights):
            raise UserError(
                f"backbones.{artifact.variant}.weights: there is no file {weights}; "
                "`python -m wsss_core import-weights` makes one of ImageNet weights (docs/pretrained.md)"
            )
        return [weights]

    def starting_weights(self, stage: str) -> OfWildcards:
        """The weights that a network starts from: a classifier's or a trunk's, or an imported network's; maybe none."""

        def found(wildcards: Wildcards) -> str | list[str]:
            artifact = self.plan.artifact(stage, wildcards.artifact)
            for role in ("initial", "start_from"):
                if role in artifact.upstream:
                    return artifact.upstream[role].path("weights.safetensors")
            return artifact.parameters["weights"] or []

        return found

    def text_features(self, wildcards: Wildcards) -> list[str]:
        """The file of texts' features that a classifier compares images with, if it does."""
        file = self.plan.artifact("classifier", wildcards.artifact).parameters.get("text_features")
        return [] if file is None else [file]

    def masks_of(self, stage: str) -> OfWildcards:
        """The manifest of the masks of some images that a network is trained on beside its labels, if there are any."""

        def found(wildcards: Wildcards) -> list[str]:
            upstream = self.plan.artifact(stage, wildcards.artifact).upstream
            return [
                upstream[role].path("masks.csv") for role in ("listed_masks", "corrected_masks") if role in upstream
            ]

        return found

    def corrected_masks(self, wildcards: Wildcards) -> list[str]:
        """The masks in a folder of corrected ones; those are no inputs that Snakemake would take for wildcards."""
        folder = self.plan.artifact("corrected_masks", wildcards.artifact).parameters["folder"]
        return [str(file) for file in corrected_masks_in(Path(folder)).values() if "{" not in str(file)]

    def saliency_maps(self, wildcards: Wildcards) -> list[str]:
        """The folders of saliency maps; those are no inputs that Snakemake would take for wildcards.

        Said here that the maps are missing, and not for all targets: experiments without them do not need them.

        Raises:
            UserError: there is no such folder, and the maps have not been checked before.
        """
        artifact = self.plan.artifact("saliency", wildcards.artifact)
        folder = Path(artifact.parameters["folder"])
        if not folder.is_dir() and not os.path.exists(artifact.path("saliency.csv")):
            raise UserError(
                f"dataset.saliency: there is no folder {folder}, which is to hold <image id>.png of each training "
                "image; leave the key out, and the experiments whose labels need it, if you have no saliency maps"
            )
        return [str(path) for path in folders_in(folder) if "{" not in str(path)]

    def state_of_sam_masks(self, wildcards: Wildcards) -> str:
        """A digest of what the folder of masks of segments holds, so that other masks are looked at again."""
        return state_of_masks(Path(self.plan.artifact("sam_masks", wildcards.artifact).parameters["folder"]))

    def training_labels(self, stage: str, role: str) -> OfWildcards:
        """The label maps that a network is trained on; none if it is imported and used as it is."""

        def found(wildcards: Wildcards) -> list[str]:
            upstream = self.plan.artifact(stage, wildcards.artifact).upstream
            return self.final_files(upstream[role]) if role in upstream else []

        return found

    def subset_file(self, wildcards: Wildcards) -> str:
        """The list of images whose masks choose a threshold or train a segmenter."""
        return str(self.plan.artifact(wildcards.listing, wildcards.artifact).parameters["subset"])

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


def _looked_up(function: Any) -> Any:
    """The function, with its signature: Snakemake looks it up for every job, which takes a tenth of its planning."""
    function.__signature__ = inspect.signature(function)
    return function


def directories(stages: Mapping[str, Artifact]) -> dict[str, str]:
    """By stage, the directory of its artifact."""
    return {stage: str(artifact.directory) for stage, artifact in stages.items()}
