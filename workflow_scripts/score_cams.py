"""Rule score_cams: the scores of class maps, before or after their walk, at every threshold."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.datasets.subset import listed_among
    from wsss_core.evaluation.score import score_cams
    from wsss_core.files.cam_store import CamStoreReader

    with CamStoreReader(snakemake.input.shards) as cams:
        score_cams(
            cams,
            read_label_manifest([snakemake.input.masks]),
            Path(snakemake.output.scores),
            walked=snakemake.params.walked,
            image_ids=listed_among(cams.image_ids, snakemake.input.scored_list),
            conditions=snakemake.params.conditions,
            images_csv=Path(snakemake.output.images),
        )
