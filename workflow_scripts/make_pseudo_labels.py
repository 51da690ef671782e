"""Rule make_pseudo_labels: one label per pixel, for a share of the training images."""

from pathlib import Path

from wsss_core.job import job

identity = snakemake.params.identity
manifest = Path(snakemake.output.labels)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, manifest.parent.parent, gpus):
    from wsss_core.cam_store import CamStoreReader
    from wsss_core.config.refinement import PseudoLabels, Walk
    from wsss_core.config.runtime import Runtime
    from wsss_core.datasets.index import read_index
    from wsss_core.refinement.pseudo_labels import make_pseudo_labels

    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    with CamStoreReader([Path(path) for path in snakemake.input.cams]) as cams:
        make_pseudo_labels(
            PseudoLabels(**identity["parameters"]["pseudo_labels"]),
            Walk(**identity["parameters"]["walk"]),
            index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
            cams,
            Path(snakemake.input.affinity),
            manifest,
            inputs=list(snakemake.input),
            device=Runtime(**snakemake.config.get("runtime", {})).device,
        )
