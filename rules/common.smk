# What the rules share. The plan is asked for parameters, and for what lies upstream.
import os
import re
from functools import cache
from pathlib import Path

from wsss_core.config import load_config, read_yaml
from wsss_core.config.differences import all_settings
from wsss_core.config.runtime import DEFAULT_RESOURCES
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import SPLITS, TEST
from wsss_core.datasets.subset import read_subset
from wsss_core.errors import UserError
from wsss_core.evaluation.classifier_verdict import read_verdict, verdict_in_text
from wsss_core.plan.imported_weights import unfit_weights
from wsss_core.plan.plan import Plan
from wsss_core.plan.score_conditions import (
    initialisation_in_words,
    labels_in_words,
    score_conditions,
    source_of_threshold,
    subset_conditions,
    threshold_files,
)
from wsss_core.files.shards import shard_names
from wsss_core.plan.shared_steps import unshared_steps
from wsss_core.plan.sweeps import plan_sweeps

# Scripts find wsss_core beside the Snakefile also in an environment made by `--sdm conda`.
inherited = dict(os.environ).get("PYTHONPATH")
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [workflow.basedir, inherited])))

try:
    for file in workflow.configfiles:
        read_yaml(file)  # says so when a key is given twice, which Snakemake does not
    plan = Plan(load_config(config))
    SWEEPS = plan_sweeps(config, plan)
except UserError as error:
    raise WorkflowError(str(error)) from None

POINTS = {point.name: point for points in SWEEPS.values() for point in points}
STAGES = {**plan.experiments, **{name: point.stages for name, point in POINTS.items()}}
FOLDER = str(plan.folder)
RUNTIME = plan.config.runtime


def asks(rule_name, resource):
    """How many `threads` or `gpu`, or how much `mem_mb` or `runtime`, a job asks for.

    An attempt after a failure asks for more memory and time, up to what `runtime` says there is.
    """
    asked = plan.config.resources.get(rule_name, DEFAULT_RESOURCES[rule_name])
    requested = getattr(asked, resource)
    if resource == "gpu":
        return 0 if RUNTIME.device == "cpu" else requested
    if resource == "threads":
        return requested
    most = getattr(RUNTIME, f"max_{resource}")
    return lambda wildcards, attempt: min(filter(None, [attempt * requested, most]))


def identity(stage):
    """The artifact's identity, for `params`: parameters, revision and what is upstream."""
    return lambda wildcards: plan.artifact(stage, wildcards.artifact).identity


def upstream(stage, role, file):
    """A file of the artifact that plays `role` for the artifact of `stage`."""
    if role == "dataset" and all(a.upstream[role] is plan.dataset for a in plan.artifacts(stage)):
        return plan.dataset.path(file)  # so Snakemake need not ask for each job
    return lambda wildcards: plan.artifact(stage, wildcards.artifact).upstream[role].path(file)


def upstream_if_any(stage, role, file):
    """A file of the artifact that plays `role` for the artifact of `stage`, if one does."""

    def found(wildcards):
        artifacts = plan.artifact(stage, wildcards.artifact).upstream
        return [artifacts[role].path(file)] if role in artifacts else []

    return found


def upstream_shards(stage, role, folder, suffix):
    """All shards of the artifact that plays `role` for the artifact of `stage`."""
    return lambda wildcards: shard_paths(
        plan.artifact(stage, wildcards.artifact).upstream[role], folder, suffix
    )


def upstream_shard(stage, role, folder, suffix):
    """The shard with the job's own images, of the artifact that plays `role`.

    All its shards, if it was made with another number of them. (All of them always would be right
    too, but costs shards times shards edges of the graph, and waiting for the slowest.)
    """

    def found(wildcards):
        artifact = plan.artifact(stage, wildcards.artifact).upstream[role]
        paths = shard_paths(artifact, folder, suffix)
        alike = len(paths) == int(wildcards.shards)
        return [paths[int(wildcards.shard)]] if alike else paths

    return found


# The folder of the data set's shrunken images, which whatever reads images needs; none if none are shrunk.
SHRUNKEN = [plan.dataset.path("images")] if plan.config.dataset.long_side else []


def shard_paths(artifact, folder, suffix):
    """Paths of an artifact's shards: as many as it was made with, or as `runtime.shards` says."""
    return shard_paths_in(artifact.path(folder), suffix)


@cache  # once a folder and not once a job: it looks at the disk
def shard_paths_in(folder, suffix):
    return [
        os.path.join(folder, name) for name in shard_names(Path(folder), suffix, RUNTIME.shards)
    ]


def final_files(artifact):
    """The files that make an artifact complete."""
    weights = [artifact.path("weights.safetensors"), artifact.path("training.csv")]
    return {
        "dataset": lambda: [artifact.path("index.csv"), artifact.path("classes.json"), *SHRUNKEN],
        "masks": lambda: [artifact.path("masks.csv")],
        "listed_masks": lambda: [artifact.path("masks.csv")],
        "backbone": lambda: weights,
        "classifier": lambda: [*weights, *scores_of_classifier(artifact)],
        "cams": lambda: shard_paths(artifact, "shards", ".h5"),
        "climb": lambda: [artifact.path("climb.h5")],
        "refined_seeds": lambda: shard_paths(artifact, "labels", ".csv"),
        "affinity_labels": lambda: shard_paths(artifact, "labels", ".csv"),
        "affinity": lambda: weights,
        "threshold": lambda: [artifact.path("threshold.json")],
        "walked_cams": lambda: shard_paths(artifact, "shards", ".h5"),
        "pseudo_labels": lambda: shard_paths(artifact, "labels", ".csv"),
        "segmenter": lambda: weights,
        "predictions": lambda: shard_paths(artifact, "labels", ".csv")
        + (
            shard_paths(artifact, "probabilities", ".h5")
            if artifact.parameters["keep_probabilities"]
            else []
        ),
    }[artifact.stage]()


def scores_of_classifier(artifact):
    """What says how well a classifier tells the classes."""
    return [artifact.path("scores.csv"), artifact.path("verdict.json")]


def artifact_files(stage):
    """The final files of all artifacts of a stage that the experiments need."""
    return [file for artifact in plan.artifacts(stage) for file in final_files(artifact)]


def raw_root():
    """The raw data set's folder: where the user has it, or where it is generated."""
    generated = plan.dataset.upstream.get("generated")
    return str(generated.directory if generated else plan.config.dataset.root)


RAW = raw_dataset(raw_root(), plan.config.dataset)


def raw_inputs(paths):
    """Those of the raw data set's folders and files that are there (or will be generated).

    A missing one is no input: `index_dataset` names it together with all other faults. Nor is an inner folder with
    braces in its name, which Snakemake would take for wildcards: that its files are others is not seen.
    """
    named = [p for p in paths if "{" not in str(p)]
    return [str(p) for p in named if plan.config.dataset.generated or p.exists()]


def backbone_file(wildcards):
    """The file that a backbone's weights are taken from, if they are.

    Said here that it is missing, and not for all targets: data can be checked without weights.
    """
    artifact = plan.artifact("backbone", wildcards.artifact)
    weights = artifact.parameters["weights"]
    if not weights.endswith(".safetensors"):
        return []
    if not os.path.isfile(weights):
        raise WorkflowError(
            f"backbones.{artifact.variant}.weights: there is no file {weights}; "
            "`python -m wsss_core.importing.pretrained import` makes one of ImageNet weights (docs/pretrained.md)"
        )
    return [weights]


def starting_classifier(wildcards):
    """The classifier that a classifier starts from, if any: another variant's, or an imported file."""
    artifact = plan.artifact("classifier", wildcards.artifact)
    if "start_from" in artifact.upstream:
        return [artifact.upstream["start_from"].path("weights.safetensors")]
    return [artifact.parameters["weights"]] if artifact.parameters["weights"] else []


def confident_labels(wildcards):
    """What an affinity network is trained on; nothing if it is imported and used as it is."""
    artifact = plan.artifact("affinity", wildcards.artifact)
    if "affinity_labels" not in artifact.upstream:
        return []
    return shard_paths(artifact.upstream["affinity_labels"], "labels", ".csv")


def starting_network(stage):
    """The weights that a later network starts from: a trunk's, or an imported network's."""

    def found(wildcards):
        artifact = plan.artifact(stage, wildcards.artifact)
        if "initial" in artifact.upstream:
            return artifact.upstream["initial"].path("weights.safetensors")
        return artifact.parameters["weights"]

    return found


def subset_file(wildcards):
    """The list of images whose masks choose a threshold or train a segmenter."""
    return plan.artifact(wildcards.listing, wildcards.artifact).parameters["subset"]


def threshold_scores(wildcards):
    """The scores that a threshold is chosen by: of all training images, or of the listed ones."""
    artifact = plan.artifact("threshold", wildcards.artifact)
    maps = artifact.upstream["maps"]
    return (artifact if artifact.parameters["best_on"] == "subset" else maps).path("scores.csv")


def training_labels(wildcards):
    """What a segmenter is trained on beside listed masks: pseudo labels, or all masks (the upper bound); may be nothing."""
    upstream = plan.artifact("segmenter", wildcards.artifact).upstream
    return final_files(upstream["labels"]) if "labels" in upstream else []


def prediction_names(keep_probabilities):
    """Names of the predictions that keep the probabilities, or of those that do not."""
    predictions = plan.artifacts("predictions")
    return [a.name for a in predictions if a.parameters["keep_probabilities"] == keep_probabilities]


def threshold_names(by_masks):
    """Names of the thresholds that masks choose, or of those that a rule chooses without them."""
    thresholds = plan.artifacts("threshold")
    return [a.name for a in thresholds if (a.parameters["best_on"] is not None) == by_masks]


def one_of(names):
    """A pattern that fits these names, and nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def label_map_shards(wildcards):
    """The manifests of an artifact's label maps."""
    return shard_paths(plan.artifact(wildcards.stage, wildcards.artifact), "labels", ".csv")


def score_files(artifacts):
    """The scores of one experiment's artifacts, by what is scored; none without masks."""
    if not HAS_MASKS:
        return {}
    scored = {
        "seed": ("cams", "scores.csv"),
        "refined_seed": ("refined_seeds", "labels.scores.csv"),
        "walk": ("walked_cams", "scores.csv"),
        "pseudo_labels": ("pseudo_labels", "labels.scores.csv"),
        "val": ("predictions", "labels.scores.csv"),
    }
    return {
        what: artifacts[stage].path(file)
        for what, (stage, file) in scored.items()
        if stage in artifacts
    }


def links_of(experiments):
    """The links of experiments: each is there once all its artifacts are complete."""
    return expand(f"{FOLDER}/experiments/{{experiment}}/links.json", experiment=experiments)


def scores_of(experiments):
    """The score files of experiments, or of points of a sweep."""
    return [file for name in experiments for file in score_files(STAGES[name]).values()]
