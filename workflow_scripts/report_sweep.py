"""Rule report_sweep: table and plot of an experiment over a grid of values."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.report.sweep import report_sweep

    report_sweep(
        snakemake.params.title,
        snakemake.params.points,
        Path(snakemake.output.table),
        Path(snakemake.output.text),
        Path(snakemake.output.picture),
    )
