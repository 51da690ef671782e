"""Weakly supervised semantic segmentation: from image-level labels to a trained network."""

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from wsss_core.files.resume import forget_finished_work

min_version("9.17")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "captions/workflow.rst"


wildcard_constraints:
    artifact=r"[A-Za-z0-9_-]+-[0-9a-f]{10}",  # variant and digest: the directory of one artifact
    shard=r"\d{3}",  # which part of the images, from 0
    shards=r"\d{3}",  # of how many parts
    maps=r"cams|walked_cams",  # stages that make class maps
    listing=r"threshold|listed_masks",  # stages that use the masks of a list of images
    stage=r"refined_seeds|pseudo_labels|predictions",  # stages whose label maps are scored
    experiment=r"[A-Za-z0-9_.=@-]+",  # a name in `experiments`, or of a point of a sweep
    sweep=r"[A-Za-z0-9_]+",  # a name in `sweeps`


include: "rules/common.smk"
include: "rules/checks.smk"
include: "rules/descriptions.smk"
include: "rules/dataset.smk"
include: "rules/classifier.smk"
include: "rules/cams.smk"
include: "rules/refinement.smk"
include: "rules/segmentation.smk"
include: "rules/submission.smk"
include: "rules/scores.smk"
include: "rules/report.smk"


localrules:
    all,
    check_dataset,
    dataset,
    backbone,
    classifier,
    cams,
    threshold,
    refined_seeds,
    affinity_labels,
    affinity,
    walked_cams,
    choose_threshold,
    pseudo_labels,
    segmenter,
    predictions,
    voc_submission,
    link_experiment,
    summarise,
    make_report,
    report_sweep,
    sweeps,
    draw_overview,
    prune,


onsuccess:
    forget_finished_work(plan.folder)
    if not {"prune", "check_dataset", "dataset"} & set(workflow.dag_settings.targets):
        warn_of_classifiers()
    if "check_dataset" in workflow.dag_settings.targets:
        print(f"What the data set holds: {plan.dataset.path('dataset_report.html')}")
    if "all" in workflow.dag_settings.targets or not workflow.dag_settings.targets:
        print(f"What came out: {FOLDER}/report.html")


onerror:
    warn_of_classifiers()


rule all:
    default_target: True
    input:
        f"{FOLDER}/report.html",
        f"{FOLDER}/summary.md",
        f"{FOLDER}/summary.csv",
        f"{FOLDER}/overview.png",
        links_of(plan.experiments),
        sweep_tables(),


# Targets that stop earlier: `snakemake cams`, `snakemake pseudo_labels`, ...


rule check_dataset:
    input:
        artifact_files("dataset"),
        plan.dataset.path("dataset_report.html"),
        plan.dataset.path("dataset_report.csv"),
        plan.dataset.path("skipped.csv"),
        artifact_files("masks") if HAS_MASKS else [],


rule dataset:
    input:
        artifact_files("dataset"),


rule backbone:
    input:
        artifact_files("backbone"),


rule classifier:
    input:
        artifact_files("classifier"),


rule cams:
    input:
        artifact_files("cams"),


rule threshold:
    input:
        artifact_files("threshold"),


rule refined_seeds:
    input:
        artifact_files("refined_seeds"),


rule affinity_labels:
    input:
        artifact_files("affinity_labels"),


rule affinity:
    input:
        artifact_files("affinity"),


rule walked_cams:
    input:
        artifact_files("walked_cams"),


rule pseudo_labels:
    input:
        artifact_files("pseudo_labels"),


rule segmenter:
    input:
        artifact_files("segmenter"),


rule predictions:
    input:
        artifact_files("predictions"),


rule sweeps:
    input:
        sweep_tables(),


rule voc_submission:
    input:
        voc_submissions,
