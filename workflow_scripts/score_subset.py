"""Rule score_subset: the scores at every threshold, on the images that a threshold is chosen with."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.evaluation.score import score_cams
    from wsss_core.files.cam_store import CamStoreReader

    listed = read_label_manifest([snakemake.input.masks])
    with CamStoreReader(snakemake.input.maps) as maps:
        score_cams(
            maps,
            listed,
            Path(snakemake.output.scores),
            walked=snakemake.params.walked,
            image_ids=list(listed),
            conditions=snakemake.params.conditions,
        )
