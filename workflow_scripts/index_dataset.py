"""Rule index_dataset: checks the images once, and lists them with their labels."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index_dataset import index_dataset

    root, made = snakemake.params.root, snakemake.output
    raw = raw_dataset(root, dataset_settings({**work.parameters, "root": root}))
    files = map(Path, (made.index, made.classes, made.report, made.counts, made.skipped))
    index_dataset(raw, *files, snakemake.threads)
