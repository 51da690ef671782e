"""Rule make_voc_submission: the archive of test label maps that the VOC server scores."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.datasets.index import index_of_job
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.segmentation.voc_submission import make_voc_submission

    make_voc_submission(
        read_label_manifest(snakemake.input.labels),
        index_of_job(snakemake, "test"),
        work.parameters["competition"],
        Path(snakemake.output.archive),
    )
