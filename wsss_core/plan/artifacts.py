"""Artifacts: what the stages make, what determines it, and where it is.

An artifact's directory is named by its variant and by the digest of everything that determines its content: stage,
revision of the stage's code, parameters, and the upstream artifacts' digests.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss_core.config.averaging import Averaging, refinement_in
from wsss_core.config.crf import Crf
from wsss_core.config.stages import STAGES

DIGEST_LENGTH = 10


@dataclass(frozen=True)
class Artifact:
    """What one stage makes from given parameters and upstream artifacts."""

    stage: str
    """Name of the stage; a key of ``STAGES``."""
    variant: str
    """The readable part of the directory's name: the variants it was made with."""
    parameters: Mapping[str, Any]
    """Everything configurable that determines the content, as plain JSON values."""
    upstream: Mapping[str, "Artifact"]
    """The artifacts it is made from, by their role."""
    stage_folder: Path
    """``results/<dataset>/<stage>``."""
    digest: str = field(init=False)
    """Hexadecimal digits that stand for the identity."""

    def __post_init__(self) -> None:
        """Compute the digest."""
        identity = {
            "stage": self.stage,
            "revision": STAGES[self.stage].revision,
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
        """Path of a file in the directory, as the text that Snakemake compares."""
        return str(self.directory.joinpath(*parts))

    @property
    def identity(self) -> dict[str, Any]:
        """What jobs receive of it: stage, revision, digest, parameters and upstream directories."""
        return {
            "stage": self.stage,
            "revision": STAGES[self.stage].revision,
            "digest": self.digest,
            "parameters": dict(self.parameters),
            "upstream": {role: str(artifact.directory) for role, artifact in self.upstream.items()},
        }


def drawn_maps(cams: Artifact) -> Artifact:
    """The class maps before their classes were balanced: ``cams`` itself if they were not."""
    return cams.upstream.get("drawn", cams)


def own_files(artifact: Artifact) -> list[str]:
    """Names of the files that make an artifact complete, besides those of its shards."""
    powers = [] if drawn_maps(artifact) is artifact else ["powers.json"]
    return [*STAGES[artifact.stage].files, *powers]


def refinement_of(artifact: Artifact) -> Crf | Averaging | None:
    """The refinement of the scores that an artifact's label maps were made from."""
    key = {"affinity_labels": "labels", "pseudo_labels": "pseudo_labels"}.get(artifact.stage)
    return refinement_in(artifact.parameters if key is None else artifact.parameters[key])


def averages(artifact: Artifact) -> bool:
    """Whether PAR or PAMR refined an artifact's scores."""
    return isinstance(refinement_of(artifact), Averaging)


def all_artifacts(experiments: Iterable[Mapping[str, Artifact]]) -> list[Artifact]:
    """All artifacts that experiments need, each after those that it is made from.

    Args:
        experiments: the artifact of each stage that an experiment passes through.
    """
    found: dict[str, Artifact] = {}

    def visit(artifact: Artifact) -> None:
        if str(artifact.directory) in found:
            return
        for needed in artifact.upstream.values():
            visit(needed)
        found[str(artifact.directory)] = artifact

    for stages in experiments:
        for artifact in stages.values():
            visit(artifact)
    return list(found.values())
