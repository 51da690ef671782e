"""Rule score_classifier: a classifier's predictions for the validation images, scored with their image-level labels."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.classifiers.score_classifier import score_classifier
    from wsss_core.datasets.index import index_of_job
    from wsss_core.evaluation.classifier_verdict import what_to_do

    params = snakemake.params
    trained = work.parameters["optimisation"]["epochs"] > 0
    score_classifier(
        index_of_job(snakemake, "val"),
        Path(snakemake.input.classifier),
        Path(snakemake.output.scores),
        Path(snakemake.output.verdict),
        params.variant,
        what_to_do(snakemake.input.index, params.dataset_report, params.curve, trained, params.initialisation),
        work.run(),
    )
