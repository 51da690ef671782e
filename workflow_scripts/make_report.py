"""Rule make_report: the page about the run."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.report.make_report import Run, make_report
    from wsss_core.report.pictured import Pictured

    files, params = snakemake.input, snakemake.params
    report_html = Path(snakemake.output.page)
    make_report(
        Run(
            params.dataset,
            report_html.parent,
            params.experiments,
            params.stages,
            params.artifacts,
            params.settings,
            Pictured(
                files.index,
                files.classes,
                files.get("masks") or None,
                params.maps,
                params.seed_thresholds,
                params.shown,
            ),
            params.climbs,
            params.classifiers,
            params.corrections,
            params.climb_scores,
            params.erasings,
            params.compared,
        ),
        report_html,
    )
