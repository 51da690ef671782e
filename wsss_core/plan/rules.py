"""What the rules ask for: the files they need, what determines their artifacts, and what their jobs may use.

Rules declare, and this decides. What depends on wildcards is returned as a function of them, for Snakemake.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss_core.config import load_config, read_yaml
from wsss_core.config.stages import STAGES, figure_stages
from wsss_core.datasets.formats import raw_dataset
from wsss_core.errors import UserError
from wsss_core.jobs.gpu_lease import computes_on_gpus
from wsss_core.plan.artifact_files import ArtifactFiles
from wsss_core.plan.artifacts import Artifact, drawn_maps
from wsss_core.plan.experiments import has_other_links
from wsss_core.plan.job_needs import JobNeeds
from wsss_core.plan.of_wildcards import OfWildcards, Wildcards, with_signature
from wsss_core.plan.places import unfit_places
from wsss_core.plan.plan import Plan
from wsss_core.plan.score_conditions import score_conditions, subset_conditions, threshold_files
from wsss_core.plan.sweeps import plan_sweeps
from wsss_core.plan.users_files import UsersFiles
from wsss_core.plan.weights_in_words import initialisation_in_words


class Rules(JobNeeds, ArtifactFiles, UsersFiles):
    """A configuration's plan, as the rules see it."""

    def __init__(self, config: Mapping[str, Any], configuration_files: Sequence[Path | str] = ()) -> None:
        """Plan what a configuration asks for.

        Args:
            config: as Snakemake has read it, including changes from the command line.
            configuration_files: the files it comes from, in which no key may be given twice.

        Raises:
            UserError: it has faults, or there cannot be a folder for its results; all faults together.
        """
        for file in configuration_files:
            read_yaml(file)  # reports keys that are given twice, which Snakemake does not
        self.plan = Plan(load_config(config))
        self.config = self.plan.config
        self.folder = str(self.plan.folder)
        self.sweeps = plan_sweeps(config, self.plan)
        self.points = {point.name: point for points in self.sweeps.values() for point in points}
        self.stages = {**self.plan.experiments, **{name: point.stages for name, point in self.points.items()}}
        """By experiment, or point of a sweep, the artifact of each stage that it passes through."""
        if faults := list(unfit_places(self.plan, self.stages, self.sweeps)):  # before anything looks there
            raise UserError("\n".join(faults))
        generated = self.plan.dataset.upstream.get("generated")
        self.raw_root = str(generated.directory if generated else self.config.dataset.root)
        """The raw data set's folder: the user's, or the one that it is generated in."""
        self.raw = raw_dataset(self.raw_root, self.config.dataset)
        self.has_masks = bool(self.config.dataset.generated) or self.raw.has_masks()
        self.masks: str | list[str] = self.plan.masks.path("masks.csv") if self.has_masks else []
        """The manifest of the masks, for jobs that also work without; empty if there are none."""
        self.saliency = [] if self.plan.saliency is None else [self.plan.saliency.path("saliency.csv")]
        """The table of the data set's saliency maps, if it has any."""
        scored = self.raw.scored_list()
        self.scored_list = [] if scored is None else [str(scored)]
        """The list of the training images that are scored; empty if all are."""
        self.shrunken = [self.plan.dataset.path("images")] if self.config.dataset.long_side else []
        self.on_gpus = computes_on_gpus(self.config.runtime.device)

    def identity(self, stage: str) -> OfWildcards:
        """The artifact's identity, for ``params``: parameters, revision and what is upstream."""
        return with_signature(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).identity)

    def variant(self, stage: str) -> OfWildcards:
        """The name of the artifact's variant."""
        return lambda wildcards: self.plan.artifact(stage, wildcards.artifact).variant

    def initialisation(self, stage: str) -> OfWildcards:
        """What an artifact's weights were trained on before, in words."""
        return lambda wildcards: initialisation_in_words(self.plan.artifact(stage, wildcards.artifact))

    def threshold_scores(self, wildcards: Wildcards) -> str:
        """The scores that a threshold is chosen with: on all training images, or on the listed ones."""
        artifact = self.plan.artifact("threshold", wildcards.artifact)
        maps = artifact.upstream["maps"]
        return (artifact if artifact.parameters["best_on"] == "subset" else maps).path("scores.csv")

    def walked(self, wildcards: Wildcards) -> bool:
        """Whether the maps that are scored, or that a threshold is chosen for, have walked."""
        stage = getattr(wildcards, "maps", None) or self._threshold(wildcards).upstream["maps"].stage
        return bool(stage == "walked_cams")

    def conditions(self, wildcard: str) -> OfWildcards:
        """The conditions of an artifact's scores in words; its stage is a wildcard."""
        dataset = self.config.dataset
        return lambda wildcards: score_conditions(
            self.plan.artifact(getattr(wildcards, wildcard), wildcards.artifact),
            dataset.scored_list,
            dataset.scored_val,
        )

    def scored_images(self, wildcards: Wildcards) -> list[str]:
        """The list of the images that an artifact is scored on; empty if all are."""
        return [] if wildcards.stage == "predictions" else self.scored_list

    def index_of_objects(self, wildcards: Wildcards) -> list[str]:
        """The index that says which images show an object, if an artifact is scored only on those."""
        needed = wildcards.stage == "predictions" and self.config.dataset.scored_val == "with_objects"
        return [self.plan.dataset.path("index.csv")] if needed else []

    def conditions_of_subset(self, wildcards: Wildcards) -> dict[str, str]:
        """The conditions of scores on the images of a list."""
        return subset_conditions(self._threshold(wildcards))

    def thresholds_in_conditions(self, wildcards: Wildcards) -> list[str]:
        """Files with the thresholds that the conditions name."""
        return threshold_files(self.plan.artifact(wildcards.stage, wildcards.artifact))

    def _threshold(self, wildcards: Wildcards) -> Artifact:
        return self.plan.artifact("threshold", wildcards.artifact)

    def names(self, stage: str, fits: Callable[[Mapping[str, Any]], bool] = lambda parameters: True) -> str:
        """A pattern that matches the names of a stage's artifacts with such parameters; nothing if there are none."""
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
        """The links of experiments, which exist once all artifacts of the experiment are complete."""
        return [f"{self.folder}/experiments/{experiment}/links.json" for experiment in experiments]

    def other_links(self) -> str | None:
        """A warning that an experiment, or a point of a sweep, is linked to other artifacts; None if none is.

        Snakemake makes links and pages again if its records say that they are of another configuration. But its records
        are in the folder that it was started in: with a colleague's results it would find nothing to do.
        """
        for links, (experiment, stages) in zip(self.links_of(self.stages), self.stages.items(), strict=True):
            if has_other_links(Path(links), directories(stages)):
                return (
                    f"{self.folder}/experiments/{experiment}: leads to results of other settings. If Snakemake now "
                    "finds nothing to do, add `--forcerun link_experiment`"
                )
        return None

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
        """The tables of the seeds after every step of AdvCAM."""
        return [file for artifact in self.plan.climb_scores.values() for file in self.final_files(artifact)]

    def climb_score_tables(self) -> list[str]:
        """The joint table and plot of these; none if no setting asks for them."""
        return [f"{self.folder}/climb_scores.{ending}" for ending in ("csv", "png")] if self.plan.climb_scores else []

    def wanted_climb_scores(self, wildcards: Wildcards) -> list[str]:
        """The same, for the target that makes nothing else.

        Raises:
            UserError: no setting asks for them.
        """
        if not self.plan.climb_scores:
            raise UserError("cams: none that an experiment uses has 'score_every_step: true' (a key of method: advcam)")
        return self.climb_score_tables()

    def conditions_of_climb(self, wildcards: Wildcards) -> dict[str, str]:
        """The conditions of a scored climb's maps, in words."""
        scored = next(name for name, artifact in self.plan.climb_scores.items() if artifact.name == wildcards.artifact)
        return score_conditions(drawn_maps(self.plan.experiments[scored]["cams"]), self.config.dataset.scored_list)

    def voc_submissions(self, wildcards: Wildcards) -> list[str]:
        """The archives for the VOC server of all experiments.

        Raises:
            UserError: the configuration lacks what they need.
        """
        return [artifact.path("results.tgz") for artifact in self.plan.voc_submissions().values()]


def directories(stages: Mapping[str, Artifact]) -> dict[str, str]:
    """By stage, the directory of its artifact."""
    return {stage: str(artifact.directory) for stage, artifact in stages.items()}
