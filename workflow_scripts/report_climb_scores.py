"""Rule report_climb_scores: table and plot of AdvCAM's seeds after every step."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.report.climb_scores import report_climb_scores

    report_climb_scores(
        snakemake.params.dataset,
        snakemake.params.scored,
        Path(snakemake.output.table),
        Path(snakemake.output.picture),
    )
