"""Rule index_corrections: checks the masks that a person corrected, and lists them."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.index_corrections import index_corrections

    index_corrections(
        Path(work.parameters["folder"]),
        read_index(snakemake.input.index, snakemake.input.classes),
        Path(snakemake.output.masks),
    )
