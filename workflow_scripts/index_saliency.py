"""Rule index_saliency: checks the saliency maps for pseudo labels, and lists them."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.index_saliency import index_saliency

    index_saliency(
        Path(work.parameters["folder"]),
        read_index(snakemake.input.index, snakemake.input.classes),
        Path(snakemake.output.table),
        snakemake.threads,
    )
