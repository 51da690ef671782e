"""Rule prepare_backbone: a trunk's weights, from ImageNet, a file, pretraining, or random."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.backbones.prepare_backbone import prepare_backbone
    from wsss_core.config.stage_settings import stage_settings

    settings = stage_settings("backbones", work.parameters)
    prepare_backbone(settings, Path(snakemake.output.weights), Path(snakemake.output.training), work.run())
