"""Rules predict and predict_test: label maps of a share of the validation or the test images."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
manifest = Path(snakemake.output.labels)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, manifest.parent.parent, gpus):
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.segmentation import Prediction
    from wsss_core.datasets.index import read_index
    from wsss_core.segmentation.predict import predict

    index = read_index(snakemake.input.index, snakemake.input.classes)
    index = index.split("val" if identity["stage"] == "predictions" else "test")
    predict(
        Prediction(**identity["parameters"]),
        index.shard(int(snakemake.wildcards.shard), int(snakemake.wildcards.shards)),
        Path(snakemake.input.segmenter),
        manifest,
        Path(kept) if (kept := snakemake.output.get("probabilities")) else None,
        inputs=list(snakemake.input),
        device=Runtime(**snakemake.config.get("runtime", {})).device,
        threads=snakemake.threads,
    )
