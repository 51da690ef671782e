"""Rule index_test_images: the images that the VOC server wants label maps of."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.dataset import dataset_settings
    from wsss_core.datasets.formats import raw_dataset
    from wsss_core.datasets.index_dataset import index_test_images

    root = snakemake.params.root
    raw = raw_dataset(root, dataset_settings({**work.parameters, "root": root}))
    index_test_images(raw, Path(snakemake.output.index), Path(snakemake.output.classes), snakemake.threads)
