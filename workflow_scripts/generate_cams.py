"""Rule generate_cams: class maps of a share of the training images."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
shard_file = Path(snakemake.output.shard)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, shard_file.parent.parent, gpus):
    from wsss_core.cams.generate_cams import generate_cams
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.classifier_verdict import stop_at_chance

    runtime = Runtime(**snakemake.config.get("runtime", {}))
    stop_at_chance(snakemake.input.verdict, runtime.classifier_at_chance)
    parameters = identity["parameters"]
    index = read_index(snakemake.input.index, snakemake.input.classes).split("train")
    generate_cams(
        stage_settings("cams", parameters),
        index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
        Path(snakemake.input.classifier),
        shard_file,
        provenance=identity,
        # Not the verdict, which changes no map.
        inputs=[snakemake.input.index, snakemake.input.classes, snakemake.input.classifier],
        device=runtime.device,
    )
