"""Rule record_climb: AdvCAM's climb of a few training images, step by step, for the report."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.record_climb import record_climb
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.datasets.index import index_of_job
    from wsss_core.evaluation.classifier_verdict import stop_at_chance

    stop_at_chance(snakemake.input.verdict, work.runtime.classifier_at_chance)
    record_climb(
        stage_settings("cams", work.parameters["cams"]),
        index_of_job(snakemake, "train"),
        work.parameters["images"],
        Path(snakemake.input.classifier),
        Path(snakemake.output.climb),
        work.run(),
    )
