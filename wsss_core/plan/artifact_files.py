"""Files of artifacts that rules read and make."""

import os
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from wsss_core.config import Config
from wsss_core.config.stages import STAGES
from wsss_core.files.shards import shard_names
from wsss_core.plan.artifacts import Artifact, own_files
from wsss_core.plan.of_wildcards import OfWildcards, Wildcards, with_signature
from wsss_core.plan.plan import Plan


class ArtifactFiles:
    """The part of :class:`wsss_core.plan.rules.Rules` that finds the files of artifacts."""

    plan: Plan
    config: Config
    shrunken: list[str]
    """The folder of the data set's shrunken images, which all that read images need; empty if none are shrunk."""

    def index(self, stage: str) -> dict[str, Any]:
        """What every job that reads images needs: the index, the classes and, if images are shrunk, the copies."""
        return {
            "index": self.upstream(stage, "dataset", "index.csv"),
            "classes": self.upstream(stage, "dataset", "classes.json"),
            "images": self.shrunken,
        }

    def upstream(self, stage: str, role: str, file: str) -> str | OfWildcards:
        """A file of the artifact that has the ``role`` in an artifact of ``stage``."""
        if role == "dataset" and all(a.upstream[role] is self.plan.dataset for a in self.plan.artifacts(stage)):
            return self.plan.dataset.path(file)  # a constant, so that Snakemake need not ask for each job
        return with_signature(lambda wildcards: self.plan.artifact(stage, wildcards.artifact).upstream[role].path(file))

    def upstream_if_any(self, stage: str, role: str, file: str) -> OfWildcards:
        """The same, if there is such an artifact."""

        def found(wildcards: Wildcards) -> list[str]:
            artifacts = self.plan.artifact(stage, wildcards.artifact).upstream
            return [artifacts[role].path(file)] if role in artifacts else []

        return with_signature(found)

    def upstream_shards(self, stage: str, role: str) -> OfWildcards:
        """All shards of the artifact that has the ``role`` in an artifact of ``stage``."""
        return lambda wildcards: self.shard_paths(self.plan.artifact(stage, wildcards.artifact).upstream[role])

    def upstream_shard(self, stage: str, role: str) -> OfWildcards:
        """The shard with the job's own images, from the artifact that has the ``role`` in an artifact of ``stage``.

        All its shards, if it was made with another number of them. (Always giving all would be right, too, but would
        cost shards times shards edges in the graph, and a wait for the slowest.)
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
        """Paths of an artifact's shards: as many as it was made with, or else ``runtime.shards``."""
        shards = STAGES[artifact.stage].shards
        assert shards is not None
        return self._shards_in(artifact.path(shards[0]), shards[1])

    @cached_property
    def _shards_in(self) -> Callable[[str, str], list[str]]:
        """Paths of the shards in a folder, by their suffix; looked up on disk once per folder, not once per job."""

        def found(folder: str, suffix: str) -> list[str]:
            names = shard_names(Path(folder), suffix, self.config.runtime.shards)
            return [os.path.join(folder, name) for name in names]

        return cache(found)

    def final_files(self, artifact: Artifact) -> list[str]:
        """The files that make an artifact complete."""
        stage = STAGES[artifact.stage]
        files = [artifact.path(file) for file in own_files(artifact)]
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
        """The weights that a network starts from: a classifier's, a trunk's or an imported network's, if any."""

        def found(wildcards: Wildcards) -> str | list[str]:
            artifact = self.plan.artifact(stage, wildcards.artifact)
            for role in ("initial", "start_from"):
                if role in artifact.upstream:
                    return artifact.upstream[role].path("weights.safetensors")
            return artifact.parameters["weights"] or []

        return found

    def masks_of(self, stage: str) -> OfWildcards:
        """The manifest of masks that a network is trained on for some images, besides its labels, if there are any."""

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
