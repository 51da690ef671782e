"""Rule balance_classes: class maps of a share of the training images, each class's raised to its power."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.balance_classes import balance_classes
    from wsss_core.datasets.index import index_of_job
    from wsss_core.files.cam_store import CamStoreReader

    with CamStoreReader(snakemake.input.drawn) as cams:
        balance_classes(
            Path(snakemake.input.powers),
            index_of_job(snakemake, "train"),
            cams,
            work.parameters["precision"],
            Path(snakemake.output.shard),
            work.run(but=["images"]),  # the index says which images
        )
