"""Rule make_voc_submission: the archive of test label maps that the VOC server scores."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
archive = Path(snakemake.output.archive)
with job(snakemake.log[0], snakemake.threads, identity, archive.parent):
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.segmentation.voc_submission import make_voc_submission

    make_voc_submission(
        read_label_manifest(snakemake.input.labels),
        read_index(snakemake.input.index, snakemake.input.classes).split("test"),
        identity["parameters"]["competition"],
        archive,
    )
