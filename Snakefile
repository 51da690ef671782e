"""Weakly supervised semantic segmentation: from image-level labels to a trained network."""

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.utils import min_version

from wsss_core.config.stages import STAGES, scored_stages
from wsss_core.files.resume import forget_finished_work
from wsss_core.jobs.run_progress import show_one_line
from wsss_core.report.last_words import last_words

min_version("9.17")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "captions/workflow.rst"


include: "rules/common.smk"


wildcard_constraints:
    artifact=r"[A-Za-z0-9_-]+-[0-9a-f]{10}",  # variant and digest: the directory of one artifact
    shard=r"\d{3}",  # number of a part of the images, from 0
    shards=r"\d{3}",  # number of all parts
    maps="|".join(scored_stages(".h5")),  # stages whose class maps are scored
    stage="|".join(scored_stages(".csv")),  # stages whose label maps are scored
    listing=r"threshold|listed_masks",  # stages that use the masks of a list of images
    experiment=r"[A-Za-z0-9_.=@-]+",  # a name in `experiments`, or of a point of a sweep
    sweep=r"[A-Za-z0-9_]+",  # a name in `sweeps`


if workflow.is_main_process and (warning := ask.other_links()):
    logger.warning(warning)


include: "rules/dataset.smk"
include: "rules/classifier.smk"
include: "rules/cams.smk"
include: "rules/refinement.smk"
include: "rules/segmentation.smk"
include: "rules/submission.smk"
include: "rules/scores.smk"
include: "rules/report.smk"


onstart:
    if Quietness.RULES in (workflow.output_settings.quiet or []):
        show_one_line(logger, workflow.dag.stats()[1])


onsuccess:
    forget_finished_work(ask.plan.folder)
    if not {"prune", "check_dataset", "dataset"} & set(workflow.dag_settings.targets):
        warn_of_classifiers()
    if "check_dataset" in workflow.dag_settings.targets:
        print(f"What the data set holds: {ask.plan.dataset.path('dataset_report.html')}")
    whole = "all" in workflow.dag_settings.targets or not workflow.dag_settings.targets
    if whole and os.path.exists(f"{FOLDER}/report.html"):  # not with --until
        print(without_traceback(last_words)(ask.plan, workflow.overwrite_configfiles))


onerror:
    warn_of_classifiers()


rule all:
    default_target: True
    input:
        f"{FOLDER}/report.html",
        f"{FOLDER}/summary.md",
        f"{FOLDER}/summary.csv",
        f"{FOLDER}/overview.png",
        ask.links_of(ask.plan.experiments),
        ask.sweep_tables(),
        ask.climb_score_tables(),
    localrule: True


# Targets that stop at a stage: `snakemake cams`, `snakemake pseudo_labels`, ...
for name, stage in STAGES.items():
    if stage.target:

        rule:
            name:
                name
            input:
                ask.artifact_files(name),
            localrule: True


rule check_dataset:
    input:
        ask.artifact_files("dataset"),
        ask.plan.dataset.path("dataset_report.html"),
        ask.plan.dataset.path("dataset_report.csv"),
        ask.plan.dataset.path("skipped.csv"),
        ask.masks,
        ask.saliency,
    localrule: True


rule sweeps:
    input:
        ask.sweep_tables(),
    localrule: True


rule climb_scores:
    input:
        without_traceback(ask.wanted_climb_scores),
    localrule: True


rule voc_submission:
    input:
        without_traceback(ask.voc_submissions),
    localrule: True
