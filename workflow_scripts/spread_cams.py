"""Rule spread_cams: class maps of a share of the training images, after a walk along affinities."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.datasets.index import index_of_job
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.spread_cams import spread_cams, walk_settings

    with CamStoreReader(snakemake.input.cams) as cams:
        spread_cams(
            walk_settings(work.parameters),
            work.parameters["walked_alpha"],
            index_of_job(snakemake, "train"),
            cams,
            Path(str(snakemake.input.affinity)) if snakemake.input.affinity else None,
            Path(snakemake.output.shard),
            work.run(),
            work.parameters["method"],
        )
