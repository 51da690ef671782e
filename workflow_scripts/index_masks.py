"""Rule index_masks: checks the masks for scoring, and lists them."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.index_masks import index_masks

    root, made = snakemake.params.root, snakemake.output
    raw = raw_dataset(root, dataset_settings({**snakemake.params.dataset, **work.parameters, "root": root}))
    index = read_index(snakemake.input.index, snakemake.input.classes)
    index_masks(raw, index, Path(made.masks), Path(made.skipped), snakemake.threads)
