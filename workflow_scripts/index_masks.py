"""Rule index_masks: which images have a mask to be scored against."""

from pathlib import Path

from wsss_core.jobs.job import job

identity, root = snakemake.params.identity, snakemake.params.root
masks_csv = Path(snakemake.output.masks)
with job(snakemake.log[0], snakemake.threads, identity, masks_csv.parent):
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.index_masks import index_masks

    settings = dataset_settings({**snakemake.params.dataset, **identity["parameters"], "root": root})
    raw = raw_dataset(root, settings)
    index = read_index(snakemake.input.index, snakemake.input.classes)
    index_masks(raw, index, masks_csv, Path(snakemake.output.skipped), snakemake.threads)
