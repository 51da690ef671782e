"""Rule record_climb: AdvCAM's climb of a few training images, step by step, for the report."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
climb_h5 = Path(snakemake.output.climb)
gpus = snakemake.resources.get("gpu", 0)
with job(snakemake.log[0], snakemake.threads, identity, climb_h5.parent, gpus):
    from wsss_core.cams.record_climb import record_climb
    from wsss_core.config.runtime import Runtime
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.datasets.index import read_index
    from wsss_core.evaluation.classifier_verdict import stop_at_chance

    runtime = Runtime(**snakemake.config.get("runtime", {}))
    stop_at_chance(snakemake.input.verdict, runtime.classifier_at_chance)
    parameters = identity["parameters"]
    record_climb(
        stage_settings("cams", parameters["cams"]),
        read_index(snakemake.input.index, snakemake.input.classes).split("train"),
        parameters["images"],
        Path(snakemake.input.classifier),
        climb_h5,
        provenance=identity,
        device=runtime.device,
    )
