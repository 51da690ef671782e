"""Rule measure_classes: for each class, the power that makes its maps about as high as all others."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.balance_classes import measure_classes
    from wsss_core.files.cam_store import CamStoreReader

    with CamStoreReader(snakemake.input.drawn) as cams:
        measure_classes(cams, Path(snakemake.output.powers))
