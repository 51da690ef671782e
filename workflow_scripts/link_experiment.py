"""Rule link_experiment: links from an experiment's name to its artifacts, for people."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.plan.experiments import link_experiment

    link_experiment(Path(snakemake.output.links), snakemake.params.artifacts)
