"""Rule train_affinity: a network that decides which neighbouring pixels belong together."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.config.trunk_description import read_trunk
    from wsss_core.datasets.index import index_of_job
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.refinement.train_affinity import train_affinity

    train_affinity(
        stage_settings("affinities", work.parameters),
        read_trunk(work.parameters["trunk"]),
        index_of_job(snakemake, "train"),
        read_label_manifest(snakemake.input.labels),
        Path(snakemake.input.initial),
        Path(snakemake.output.weights),
        Path(snakemake.output.training),
        work.run(),
    )
