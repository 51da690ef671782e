"""Rule prepare_fully_connected: VGG-16's fully connected layers in the form that DeepLab-LargeFOV starts from."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.backbones.prepare_fully_connected import prepare_fully_connected

    prepare_fully_connected(**work.parameters, weights=Path(snakemake.output.weights))
