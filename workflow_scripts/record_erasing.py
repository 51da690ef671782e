"""Rule record_erasing: what a classifier still finds after everything that it found is erased, for the report."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.record_erasing import record_erasing
    from wsss_core.datasets.index import index_of_job

    record_erasing(
        index_of_job(snakemake, "train"),
        work.parameters["images"],
        Path(snakemake.input.classifier),
        Path(snakemake.output.erasing),
        work.run(),
    )
