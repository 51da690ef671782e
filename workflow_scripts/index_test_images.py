"""Rule index_test_images: which images the VOC server wants label maps of."""

from pathlib import Path

from wsss_core.jobs.job import job

identity, root = snakemake.params.identity, snakemake.params.root
index_csv = Path(snakemake.output.index)
with job(snakemake.log[0], snakemake.threads, identity, index_csv.parent):
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index_dataset import index_test_images

    raw = raw_dataset(root, dataset_settings({**identity["parameters"], "root": root}))
    index_test_images(raw, index_csv, Path(snakemake.output.classes), snakemake.threads)
