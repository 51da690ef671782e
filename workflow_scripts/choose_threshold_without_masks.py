"""Rule choose_threshold_without_masks: the threshold that the class maps themselves suggest."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.background import Threshold
    from wsss_core.evaluation.threshold_of_maps import choose_threshold_without_masks
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.plan.background_in_words import source_of_threshold

    source = source_of_threshold(Threshold.of_artifact(work.parameters))
    with CamStoreReader(snakemake.input.maps) as cams:
        choose_threshold_without_masks(cams, Path(snakemake.output.threshold), source, snakemake.params.walked)
