"""Rule index_dataset: which images there are, checked once, and what they show."""

from pathlib import Path

from wsss_core.jobs.job import job

identity, root = snakemake.params.identity, snakemake.params.root
index_csv = Path(snakemake.output.index)
with job(snakemake.log[0], snakemake.threads, identity, index_csv.parent):
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index_dataset import index_dataset

    index_dataset(
        raw_dataset(root, dataset_settings({**identity["parameters"], "root": root})),
        index_csv,
        Path(snakemake.output.classes),
        Path(snakemake.output.report),
        Path(snakemake.output.counts),
        Path(snakemake.output.skipped),
        snakemake.threads,
    )
