"""The stages, one row each: all that the configuration, the plan, the rules and the pages know about them.

A new stage is a row here, a rule in ``rules/``, a script in ``workflow_scripts/`` and a function of the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wsss_core.config.runtime import RuleResources


@dataclass(frozen=True)
class Stage:
    """What a stage makes, and with which rule."""

    rule: str
    """The rule that makes its artifacts."""
    resources: RuleResources
    """What a job of the rule asks for by default."""
    revision: int = 1
    """Raise it when the stage's results change meaning: they are then made again."""
    files: tuple[str, ...] = ()
    """Files that make an artifact complete, in addition to those of its shards."""
    shards: tuple[str, str] | None = None
    """Folder and suffix of the shards' files, if it has shards: ``.h5`` class maps, ``.csv`` label maps."""
    figure: tuple[str, str] | None = None
    """Name of its scores against masks in tables, and the column's heading; None if nothing is scored."""
    picture: str = ""
    """What a picture of it shows, in the report's gallery."""
    trains: bool = False
    """Whether its jobs can share the images of a step among several GPUs."""
    averages: bool = False
    """Whether its jobs compute on a GPU if PAR or PAMR replaces the CRF."""
    target: bool = True
    """Whether ``snakemake <stage>`` makes it, and stops there."""
    upstream: tuple[str, ...] = ()
    """For a stage without settings: the stages it is made from. Every experiment that has those stages has this one,
    too. Stages with settings are planned in :class:`wsss_core.plan.plan.Plan`."""

    @property
    def scores_file(self) -> str | None:
        """The file of the scores against masks, if there are any."""
        if self.figure is None or self.shards is None:
            return None
        return "scores.csv" if self.shards[1] == ".h5" else "labels.scores.csv"

    @property
    def images_file(self) -> str | None:
        """The file of each image's scores, if there are any."""
        scores = self.scores_file
        return None if scores is None else scores.replace("scores", "images")


def _gpu(hours: int, memory: int = 16000) -> RuleResources:
    return RuleResources(threads=1, mem_mb=memory, runtime=60 * hours, gpu=1)


def _cpu(hours: float, threads: int = 1) -> RuleResources:
    return RuleResources(threads=threads, runtime=int(60 * hours))


WEIGHTS = ("weights.safetensors", "training.csv")
CLASS_MAPS, LABEL_MAPS = ("shards", ".h5"), ("labels", ".csv")

STAGES: dict[str, Stage] = {
    "generated": Stage("generate_creatures", _cpu(0.5), 2, target=False),
    "dataset": Stage("index_dataset", _cpu(2, 4), 2, ("index.csv", "classes.json")),
    "masks": Stage("index_masks", _cpu(2, 4), 2, ("masks.csv",), target=False),
    "listed_masks": Stage("index_subset", _cpu(2, 4), files=("masks.csv",), target=False),
    "corrected_masks": Stage("index_corrections", _cpu(2), files=("masks.csv",), target=False),
    "saliency": Stage("index_saliency", _cpu(2, 4), files=("saliency.csv",), target=False),
    "sam_masks": Stage("index_sam_masks", _cpu(4, 4), files=("segments.csv",), target=False),
    "backbone": Stage("prepare_backbone", _gpu(1), files=WEIGHTS, trains=True),
    "fully_connected": Stage("prepare_fully_connected", _cpu(0.5), files=("weights.safetensors",), target=False),
    "classifier": Stage("train_classifier", _gpu(12), files=(*WEIGHTS, "scores.csv", "verdict.json"), trains=True),
    "cams": Stage("generate_cams", _gpu(24), shards=CLASS_MAPS, figure=("seed", "seed"), picture="class map"),
    "climb": Stage("record_climb", _gpu(1), files=("climb.h5",), target=False),
    "erasing": Stage("record_erasing", _gpu(1), files=("erasing.h5",), target=False),
    "climb_scores": Stage("score_climb", _gpu(24), files=("scores.csv", "amplification.csv"), target=False),
    "threshold": Stage("choose_threshold_without_masks", _cpu(1), files=("threshold.json",)),
    "refined_seeds": Stage(
        "refine_seeds",
        _cpu(12),
        shards=LABEL_MAPS,
        figure=("refined_seed", "+ CRF"),
        picture="CRF label",
        averages=True,
    ),
    "affinity_labels": Stage("make_affinity_labels", _cpu(12), 2, shards=LABEL_MAPS, averages=True),
    "affinity": Stage("train_affinity", _gpu(12), 2, WEIGHTS, trains=True),
    "walked_cams": Stage("spread_cams", _gpu(12), 2, shards=CLASS_MAPS, figure=("walk", "walk")),
    "pseudo_labels": Stage(
        "make_pseudo_labels",
        _cpu(12),
        2,
        shards=LABEL_MAPS,
        figure=("pseudo_labels", "pseudo labels"),
        picture="pseudo label",
        averages=True,
    ),
    "segmenter": Stage("train_segmenter", _gpu(48, 32000), files=WEIGHTS, trains=True),
    "predictions": Stage("predict", _gpu(12), shards=LABEL_MAPS, figure=("val", "DeepLab, val"), picture="prediction"),
    "test_images": Stage("index_test_images", _cpu(2), target=False),
    "test_predictions": Stage("predict_test", _gpu(12), shards=LABEL_MAPS, target=False),
    "voc_submission": Stage("make_voc_submission", _cpu(1), target=False),
}
"""By the stage's name, which is also the folder of its artifacts and the target that makes them."""

_SCORING: dict[str, RuleResources] = {
    "score_classifier": _gpu(4),
    "measure_classes": _cpu(2),
    "balance_classes": _cpu(2),
    "score_cams": _cpu(2),
    "score_label_maps": _cpu(2),
    "predict_with_probabilities": _gpu(12),
}
"""Rules that add to what a stage's own rule makes."""

DEFAULT_RESOURCES: dict[str, RuleResources] = {stage.rule: stage.resources for stage in STAGES.values()} | _SCORING
"""What a job of each rule asks for if the configuration's ``resources`` say nothing."""


GPU_THREADS: dict[str, int] = {
    **dict.fromkeys(("train_classifier", "train_affinity", "train_segmenter"), 5),
    **dict.fromkeys(("generate_cams", "score_classifier"), 4),
    "spread_cams": 2,
    **dict.fromkeys(("predict", "predict_with_probabilities", "predict_test"), 8),
}
"""Cores, by rule, of a job that computes on a GPU: for the threads and processes that meanwhile load images, compress
maps and compute CRFs (docs/performance.md). On CPUs the network uses all cores, and jobs ask for one each."""


def figure_stages() -> dict[str, str]:
    """The stages that are scored, by the name of their figure (``seed``, ``val``)."""
    return {stage.figure[0]: name for name, stage in STAGES.items() if stage.figure is not None}


def scored_stages(suffix: str) -> list[str]:
    """The scored stages that make class maps (``.h5``) or label maps (``.csv``)."""
    return [name for name, stage in STAGES.items() if stage.figure and stage.shards and stage.shards[1] == suffix]


def averaging_stage(rule: str) -> str | None:
    """The stage that a rule makes, if its jobs compute on a GPU when PAR or PAMR replaces the CRF."""
    return next((name for name, stage in STAGES.items() if stage.averages and stage.rule == rule), None)


def useless_gpus(resources: Mapping[str, RuleResources]) -> list[str]:
    """A sentence for each rule that asks for GPUs that its jobs would leave idle.

    Args:
        resources: what the configuration asks for, by rule.
    """
    trainings = [stage.rule for stage in STAGES.values() if stage.trains]
    faults = []
    for rule, asked in resources.items():
        if rule not in DEFAULT_RESOURCES or rule in trainings or asked.gpu <= DEFAULT_RESOURCES[rule].gpu:
            continue
        if DEFAULT_RESOURCES[rule].gpu == 0:
            faults.append(f"resources.{rule}.gpu: must be 0, not {asked.gpu}: it computes on the CPU")
        else:
            faults.append(
                f"resources.{rule}.gpu: must be 0 or 1, not {asked.gpu}: only trainings ({', '.join(trainings)}) use "
                "more; 'runtime.shards' splits other work into more jobs"
            )
    return faults
