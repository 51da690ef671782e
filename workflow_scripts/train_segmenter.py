"""Rule train_segmenter: a segmentation network, from pseudo labels, masks, or both."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
weights = Path(snakemake.output.weights)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, weights.parent, gpus):
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.semi_supervised import MasksOf
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.config.trunk_description import read_trunk
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.jobs.devices import loading_processes
    from wsss_core.segmentation.train_segmenter import train_segmenter

    parameters = identity["parameters"]
    runtime = Runtime(**snakemake.config.get("runtime", {}))
    train_segmenter(
        stage_settings("segmenters", parameters),
        read_trunk(parameters["trunk"]),
        read_index(snakemake.input.index, snakemake.input.classes).split("train"),
        read_label_manifest(snakemake.input.labels),
        Path(snakemake.input.initial),
        snakemake.params.initialisation,
        weights,
        Path(snakemake.output.training),
        masks=read_label_manifest(snakemake.input.masks),
        masks_of=MasksOf(**parameters["masks_of"]) if "masks_of" in parameters else None,
        dataset=snakemake.config["dataset"]["name"],
        inputs=list(snakemake.input),
        device=runtime.device,
        workers=loading_processes(runtime, snakemake.threads),
    )
