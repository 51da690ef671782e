"""Rule make_report: the page about the run."""

from pathlib import Path

from wsss_core.job import job

with job(snakemake.log[0], snakemake.threads):
    from wsss_core.report.make_report import Run, make_report

    params = snakemake.params
    make_report(
        Run(
            params.dataset,
            Path(params.folder),
            params.experiments,
            params.stages,
            params.artifacts,
            params.settings,
        ),
        Path(snakemake.output.page),
    )
