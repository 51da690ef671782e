"""Rule generate_cams: class maps of a share of the training images."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.generate_cams import generate_cams
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.datasets.index import index_of_job
    from wsss_core.evaluation.classifier_verdict import stop_at_chance

    stop_at_chance(snakemake.input.verdict, work.runtime.classifier_at_chance)
    generate_cams(
        stage_settings("cams", work.parameters),
        index_of_job(snakemake, "train"),
        Path(snakemake.input.classifier),
        Path(snakemake.output.shard),
        work.run(but=["verdict", "images"]),  # the index says which images, and the verdict changes no map
    )
