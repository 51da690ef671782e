"""Rule index_masks: which images have a mask to be scored against."""

from pathlib import Path

from wsss_core.job import job

masks_csv = Path(snakemake.output.masks)
with job(snakemake.log[0], snakemake.threads, snakemake.params.identity, masks_csv.parent):
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.voc import index_masks

    index = read_index(snakemake.input.index, snakemake.input.classes)
    index_masks(Path(snakemake.params.root), index, masks_csv)
