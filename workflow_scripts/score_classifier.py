"""Rule score_classifier: what a classifier says about the validation images, against their image-level labels."""

from pathlib import Path

from wsss_core.jobs.job import job

identity, params = snakemake.params.identity, snakemake.params
verdict_json = Path(snakemake.output.verdict)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, verdict_json.parent, gpus):
    from wsss_core.classifiers.score_classifier import score_classifier
    from wsss_core.config.runtime import Runtime
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.classifier_verdict import what_to_do

    trained = identity["parameters"]["optimisation"]["epochs"] > 0
    score_classifier(
        read_index(snakemake.input.index, snakemake.input.classes).split("val"),
        Path(snakemake.input.classifier),
        Path(snakemake.output.scores),
        verdict_json,
        params.variant,
        what_to_do(params.dataset_report, params.curve, trained, params.initialisation),
        device=Runtime(**snakemake.config.get("runtime", {})).device,
    )
