# What the rules share. The plan is asked for parameters, and for what lies upstream.
import os
from functools import cache
from pathlib import Path

from wsss_core.config import load_config, read_yaml
from wsss_core.config.runtime import DEFAULT_RESOURCES
from wsss_core.datasets.subset import read_subset
from wsss_core.datasets.voc_layout import list_file
from wsss_core.errors import UserError
from wsss_core.plan import Plan
from wsss_core.score_conditions import score_conditions, source_of_threshold, threshold_files
from wsss_core.shards import shard_names
from wsss_core.sweeps import plan_sweeps

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
    if role == "dataset":  # there is one, so Snakemake need not ask for each job
        return plan.dataset.path(file)
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
        "dataset": lambda: [artifact.path("index.csv"), artifact.path("classes.json")],
        "masks": lambda: [artifact.path("masks.csv")],
        "backbone": lambda: weights,
        "classifier": lambda: weights,
        "cams": lambda: shard_paths(artifact, "shards", ".h5"),
        "refined_seeds": lambda: shard_paths(artifact, "labels", ".csv"),
        "affinity_labels": lambda: shard_paths(artifact, "labels", ".csv"),
        "affinity": lambda: weights,
        "threshold": lambda: [artifact.path("threshold.json")],
        "walked_cams": lambda: shard_paths(artifact, "shards", ".h5"),
        "pseudo_labels": lambda: shard_paths(artifact, "labels", ".csv"),
        "segmenter": lambda: weights,
        "predictions": lambda: shard_paths(artifact, "labels", ".csv"),
    }[artifact.stage]()


def artifact_files(stage):
    """The final files of all artifacts of a stage that the experiments need."""
    return [file for artifact in plan.artifacts(stage) for file in final_files(artifact)]


def raw_root():
    """The raw data set's folder: where the user has it, or where it is generated."""
    generated = plan.dataset.upstream.get("generated")
    return str(generated.directory if generated else plan.config.dataset.root)


def raw_folders(*names):
    """Those of the raw data set's folders that are there (or will be generated).

    A missing one is no input: `index_dataset` names it together with all other faults.
    """
    folders = [os.path.join(raw_root(), name) for name in names]
    return [f for f in folders if plan.config.dataset.generate or os.path.isdir(f)]


def image_lists(*splits):
    """The files that list the raw data set's images: a folder's time does not tell that one was edited."""
    dataset = plan.config.dataset
    paths = [str(list_file(Path(raw_root()), dataset.splits, split)) for split in splits]
    return [path for path in paths if not dataset.generate and os.path.isfile(path)]


def backbone_file(wildcards):
    """The file that a backbone's weights are taken from, if they are."""
    weights = plan.artifact("backbone", wildcards.artifact).parameters["weights"]
    return [weights] if weights.endswith(".safetensors") else []


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


def starting_affinity(wildcards):
    """The weights that an affinity network starts from: a trunk's, or an imported network's."""
    artifact = plan.artifact("affinity", wildcards.artifact)
    if "initial" in artifact.upstream:
        return artifact.upstream["initial"].path("weights.safetensors")
    return artifact.parameters["weights"]


def subset_file(wildcards):
    """The list of images that a threshold is chosen on."""
    return plan.artifact("threshold", wildcards.artifact).parameters["subset"]


def threshold_scores(wildcards):
    """The scores that a threshold is chosen by: of all training images, or of the listed ones."""
    artifact = plan.artifact("threshold", wildcards.artifact)
    maps = artifact.upstream["maps"]
    return (artifact if artifact.parameters["best_on"] == "subset" else maps).path("scores.csv")


def training_labels(wildcards):
    """What a segmenter is trained on: pseudo labels, or the masks (the upper bound)."""
    labels = plan.artifact("segmenter", wildcards.artifact).upstream["labels"]
    return final_files(labels)


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


def points_of(sweep):
    """What the report of a sweep is told of its points."""
    return [
        {
            "name": point.name,
            "values": dict(point.values),
            "described": described(point.plan.config, point.experiment, point.stages),
        }
        for point in SWEEPS[sweep]
    ]


def sweep_tables():
    """The tables of all sweeps."""
    return expand(f"{FOLDER}/sweeps/{{sweep}}/table.md", sweep=SWEEPS)


def described(config, experiment, stages):
    """What a table says of an experiment beside its scores, and where those lie."""
    settings = config.experiments[experiment]
    cams = config.cams.get(settings.cams)
    affinity = config.affinities.get(settings.affinity)
    background = affinity.pseudo_labels.background if affinity else None
    seed_threshold = (
        described_threshold(cams.threshold, stages.get("seed_threshold")) if cams else None
    )
    if background and background.times_seed_threshold:
        threshold = {**seed_threshold, "times": background.times_seed_threshold}
    elif background and background.threshold:
        threshold = described_threshold(background.threshold, stages.get("threshold"))
    else:
        threshold = None
    return {
        "labels": settings.labels,
        "seed_threshold": seed_threshold,
        "walk_threshold": threshold,
        "scores": score_files(stages),
    }


def described_threshold(choice, chosen):
    """A threshold and its source: the number itself, or the file of the artifact that chooses it."""
    return {
        "fixed": choice.fixed,
        "file": chosen.path("threshold.json") if chosen else None,
        "source": source_of_threshold(choice),
    }


CONFIGS = [plan.config, *(point.plan.config for point in POINTS.values())]
for section in ("classifiers", "affinities"):
    for name, variant in [item for c in CONFIGS for item in getattr(c, section).items()]:
        weights = getattr(variant, "weights", None)
        if weights and not os.path.isfile(weights):
            raise WorkflowError(
                f"{section}.{name}.weights: there is no file {weights}; "
                "`python -m wsss_core.networks.pretrained import` makes one of a checkpoint (docs/pretrained.md)"
            )
for artifact in plan.artifacts("backbone"):
    weights = artifact.parameters["weights"]
    if weights.endswith(".safetensors") and not os.path.isfile(weights):
        raise WorkflowError(
            f"backbones.{artifact.variant}.weights: there is no file {weights}; "
            "`python -m wsss_core.networks.pretrained import` makes one of ImageNet weights (docs/pretrained.md)"
        )
HAS_MASKS = bool(raw_folders("SegmentationClass"))
for artifact in plan.artifacts("threshold"):
    maps = artifact.upstream["maps"]
    key = (
        f"cams.{maps.variant}.threshold"
        if maps.stage == "cams"
        else "affinities: pseudo_labels.background.threshold"
    )
    if artifact.parameters["best_on"] == "subset":
        try:
            read_subset(Path(artifact.parameters["subset"]))
        except UserError as error:
            raise WorkflowError(f"{key}: {error}") from None
    if not HAS_MASKS and os.path.isdir(raw_root()):
        raise WorkflowError(
            f"{key}: best_on needs masks to choose by, and {raw_root()} has no folder SegmentationClass; "
            "give a number"
        )
for name, experiment in [item for c in CONFIGS for item in c.experiments.items()]:
    if experiment.labels == "masks" and not HAS_MASKS and os.path.isdir(raw_root()):
        raise WorkflowError(
            f"experiments.{name}.labels: is 'masks', but {raw_root()} has no folder SegmentationClass"
        )
for name in SWEEPS:
    if not HAS_MASKS and os.path.isdir(raw_root()):
        raise WorkflowError(
            f"sweeps.{name}: compares scores, and {raw_root()} has no folder SegmentationClass; "
            "leave it out, or give the points as experiments of their own"
        )
