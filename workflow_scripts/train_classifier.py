"""Rule train_classifier: a network that learns from image-level labels."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
weights = Path(snakemake.output.weights)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, weights.parent, gpus):
    from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.config.trunk_description import read_trunk
    from wsss_core.datasets.index import read_index
    from wsss_core.jobs.devices import loading_processes

    parameters = identity["parameters"]
    runtime = Runtime(**snakemake.config.get("runtime", {}))
    roles = ("backbone", "classifier", "ordinary")
    start = {role: Path(str(snakemake.input.get(role))) for role in roles if snakemake.input.get(role)}
    train_classifier(
        stage_settings("classifiers", parameters),
        read_trunk(parameters["trunk"]),
        read_index(snakemake.input.index, snakemake.input.classes).split("train"),
        StartingWeights(**start),
        weights,
        Path(snakemake.output.training),
        inputs=list(snakemake.input),
        device=runtime.device,
        workers=loading_processes(runtime, snakemake.threads),
    )
