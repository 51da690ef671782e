"""Rule refine_seeds: seeds of a share of the images after a dense CRF."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
manifest = Path(snakemake.output.labels)
with job(snakemake.log[0], snakemake.threads, identity, manifest.parent.parent):
    from wsss_core.config.background import BackgroundScore
    from wsss_core.config.crf import Crf
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.refined_seeds import refine_seeds

    parameters = identity["parameters"]
    seed_threshold = threshold_from(parameters["seed_threshold"], snakemake.input.seed_threshold)
    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    with CamStoreReader([Path(path) for path in snakemake.input.cams]) as cams:
        refine_seeds(
            BackgroundScore(**parameters["background"]).resolved(seed_threshold),
            Crf(**parameters["crf"]),
            index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
            cams,
            manifest,
            inputs=list(snakemake.input),
            threads=snakemake.threads,
        )
