"""Rule index_test_images: which images the VOC server wants label maps of."""

from pathlib import Path

from wsss_core.job import job

identity, root = snakemake.params.identity, snakemake.params.root
index_csv = Path(snakemake.output.index)
with job(snakemake.log[0], snakemake.threads, identity, index_csv.parent):
    from wsss_core.config.dataset import Dataset
    from wsss_core.datasets.voc import index_test_images

    dataset = Dataset(**{**identity["parameters"], "root": root})
    index_test_images(root, dataset, index_csv, snakemake.output.classes)
