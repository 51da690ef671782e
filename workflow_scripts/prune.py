"""Rule prune: list (or delete) what no experiment of the configuration needs."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.plan.experiments import prune

    prune(
        Path(snakemake.params.folder),
        snakemake.params.artifacts,
        snakemake.params.experiments,
        snakemake.params.sweeps,
        delete=snakemake.params.delete,
        configfiles=snakemake.params.configfiles,
    )
