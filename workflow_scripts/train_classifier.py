"""Rule train_classifier: a network that learns from image-level labels."""

from pathlib import Path

from wsss_core.job import job

identity = snakemake.params.identity
weights = Path(snakemake.output.weights)
with job(snakemake.log[0], snakemake.threads, identity, weights.parent):
    from wsss_core.classifiers.train_classifier import train_classifier
    from wsss_core.config.networks import Backbone
    from wsss_core.config.root import SECTIONS
    from wsss_core.config.runtime import Runtime
    from wsss_core.datasets.index import read_index

    parameters = identity["parameters"]
    settings = SECTIONS["classifiers"].kind(parameters["objective"])
    runtime = Runtime(**snakemake.config.get("runtime", {}))
    train_classifier(
        settings(**parameters, backbone=snakemake.params.backbone["network"]),
        Backbone(**snakemake.params.backbone),
        read_index(snakemake.input.index, snakemake.input.classes).split("train"),
        Path(snakemake.input.backbone),
        weights,
        Path(snakemake.output.training),
        inputs=list(snakemake.input),
        device=runtime.device,
        workers=runtime.workers,
    )
