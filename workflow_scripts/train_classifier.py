"""Rule train_classifier: a network that learns from image-level labels."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.config.trunk_description import read_trunk
    from wsss_core.datasets.index import index_of_job

    roles = ("backbone", "classifier", "ordinary")
    start = {role: Path(str(snakemake.input.get(role))) for role in roles if snakemake.input.get(role)}
    train_classifier(
        stage_settings("classifiers", work.parameters),
        read_trunk(work.parameters["trunk"]),
        index_of_job(snakemake, "train"),
        StartingWeights(**start),
        Path(snakemake.output.weights),
        Path(snakemake.output.training),
        work.run(),
    )
