"""Rule index_sam_masks: checks the masks of segments for pseudo labels, and lists them."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.index_sam_masks import index_sam_masks

    index_sam_masks(
        Path(work.parameters["folder"]),
        read_index(snakemake.input.index, snakemake.input.classes),
        Path(snakemake.output.segments),
        snakemake.threads,
    )
