"""Rule summarise: a row per experiment with the scores of each step."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.report.summary import summarise

    summarise(
        snakemake.params.dataset,
        snakemake.params.experiments,
        Path(snakemake.output.table),
        Path(snakemake.output.text),
        snakemake.params.classifiers,
    )
