"""Rule spread_cams: class maps of a share of the training images, after a walk along affinities."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
shard_file = Path(snakemake.output.shard)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, shard_file.parent.parent, gpus):
    from wsss_core.config.runtime import Runtime
    from wsss_core.datasets.index import read_index
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.spread_cams import spread_cams, walk_settings

    parameters = identity["parameters"]
    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    with CamStoreReader([Path(path) for path in snakemake.input.cams]) as cams:
        spread_cams(
            walk_settings(parameters),
            parameters["walked_alpha"],
            index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
            cams,
            Path(snakemake.input.affinity),
            shard_file,
            provenance=identity,
            inputs=list(snakemake.input),
            device=Runtime(**snakemake.config.get("runtime", {})).device,
        )
