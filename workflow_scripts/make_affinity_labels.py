"""Rule make_affinity_labels: confident labels of a share of the images."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
manifest = Path(snakemake.output.labels)
with job(snakemake.log[0], snakemake.threads, identity, manifest.parent.parent):
    from wsss_core.config.refinement import AffinityLabels
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.affinity_labels import make_affinity_labels

    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    with CamStoreReader([Path(path) for path in snakemake.input.cams]) as cams:
        make_affinity_labels(
            AffinityLabels(**identity["parameters"]["labels"]),
            threshold_from(identity["parameters"]["seed_threshold"], snakemake.input.seed_threshold),
            index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
            cams,
            manifest,
            inputs=list(snakemake.input),
            threads=snakemake.threads,
        )
