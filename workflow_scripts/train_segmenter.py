"""Rule train_segmenter: a segmentation network, from pseudo labels, masks, or both."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.semi_supervised import MasksOf
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.config.trunk_description import read_trunk
    from wsss_core.datasets.index import index_of_job
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter

    labels = TrainingLabels(
        read_label_manifest(snakemake.input.labels),
        read_label_manifest(snakemake.input.masks),
        MasksOf(**work.parameters["masks_of"]) if "masks_of" in work.parameters else None,
        snakemake.config["dataset"]["name"],
    )
    train_segmenter(
        stage_settings("segmenters", work.parameters),
        read_trunk(work.parameters["trunk"]),
        index_of_job(snakemake, "train"),
        labels,
        StartingNetwork(
            Path(snakemake.input.initial),
            snakemake.params.initialisation,
            *map(Path, snakemake.input.fully_connected),
        ),
        Path(snakemake.output.weights),
        Path(snakemake.output.training),
        work.run(),
    )
