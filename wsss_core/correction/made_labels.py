"""Finds the label maps that an experiment has made, and the data set's index."""

from pathlib import Path

from wsss_core.config.loading import unknown_name
from wsss_core.config.stages import STAGES
from wsss_core.datasets.index import DatasetIndex, read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.errors import UserError
from wsss_core.files.shards import shard_names
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.plan import Plan

SPLITS_OF = {"pseudo_labels": "train", "predictions": "val"}
"""The stages with label maps that can be exported, and the split of their images."""


def artifact_of(plan: Plan, experiment: str, stage: str, option: str = "--experiment") -> Artifact:
    """The artifact of an experiment's stage.

    Args:
        plan: the plan.
        experiment: the experiment's name.
        stage: a key of ``SPLITS_OF``.
        option: the command-line option that names the experiment, for messages.

    Raises:
        UserError: there is no such experiment, or it lacks the stage.
    """
    if experiment not in plan.experiments:
        raise UserError(unknown_name((option,), "no such experiment", experiment, plan.experiments))
    if stage not in plan.experiments[experiment]:
        raise UserError(f"{option}: '{experiment}' has no stage '{stage}'")
    return plan.experiments[experiment][stage]


def index_of(plan: Plan) -> DatasetIndex:
    """The index of the data set.

    Raises:
        UserError: it is not made yet.
    """
    index_csv, classes_json = plan.dataset.path("index.csv"), plan.dataset.path("classes.json")
    if not Path(index_csv).exists():
        raise UserError(f"{index_csv}: is not made yet; `snakemake dataset` makes it")
    return read_index(index_csv, classes_json)


def shards_of(artifact: Artifact, folder: str | None = None, suffix: str | None = None) -> list[Path]:
    """The files of an artifact's shards; all exist.

    Args:
        artifact: of a stage with shards.
        folder: the folder in the artifact; by default that of its maps.
        suffix: of the files there.

    Raises:
        UserError: they are not made yet.
    """
    shards = STAGES[artifact.stage].shards
    assert shards is not None
    place = artifact.directory / (folder or shards[0])
    files = [place / name for name in shard_names(place, suffix or shards[1], 1)]
    if not all(file.exists() for file in files):
        raise UserError(f"{place}: is not made yet; `snakemake {artifact.stage}` makes it")
    return files


def label_maps_of(artifact: Artifact) -> dict[str, Path]:
    """The files of an artifact's label maps by image id.

    Raises:
        UserError: they are not made yet.
    """
    return read_label_manifest(shards_of(artifact))
