"""Rule prepare_backbone: a trunk's weights, from ImageNet, a file, pretraining or chance."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
weights = Path(snakemake.output.weights)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, weights.parent, gpus):
    from wsss_core.backbones.prepare_backbone import prepare_backbone
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.jobs.devices import loading_processes

    runtime = Runtime(**snakemake.config.get("runtime", {}))
    prepare_backbone(
        stage_settings("backbones", identity["parameters"]),
        weights,
        Path(snakemake.output.training),
        inputs=list(snakemake.input),
        device=runtime.device,
        workers=loading_processes(runtime, snakemake.threads),
    )
