"""Rule make_pseudo_labels: one label per pixel, for a share of the training images."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
manifest = Path(snakemake.output.labels)
with job(snakemake.log[0], snakemake.threads, identity, manifest.parent.parent):
    from wsss_core.config.refinement import PseudoLabels
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.pseudo_labels import make_pseudo_labels

    parameters = identity["parameters"]
    settings = PseudoLabels(**parameters["pseudo_labels"])
    seed_threshold = threshold_from(parameters["seed_threshold"], snakemake.input.seed_threshold)
    threshold = threshold_from(None, snakemake.input.threshold)
    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    with CamStoreReader([Path(path) for path in snakemake.input.maps]) as maps:
        make_pseudo_labels(
            settings,
            settings.background.resolved(seed_threshold, threshold),
            index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
            maps,
            manifest,
            inputs=list(snakemake.input),
            threads=snakemake.threads,
        )
