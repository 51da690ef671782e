"""Rule choose_threshold: the scored threshold with the highest mIoU."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.background import Threshold
    from wsss_core.evaluation.choose_threshold import choose_threshold
    from wsss_core.plan.background_in_words import source_of_threshold

    source = source_of_threshold(Threshold.of_artifact(work.parameters))
    choose_threshold(Path(snakemake.input.scores), Path(snakemake.output.threshold), source)
