"""Rule score_label_maps: scores of refined seeds, pseudo labels or predictions."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.index import read_classes, read_index
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.datasets.subset import listed_among, showing_objects
    from wsss_core.evaluation.score import score_label_maps
    from wsss_core.plan.background_in_words import filled_in

    label_maps, objects = read_label_manifest(snakemake.input.labels), snakemake.input.index_of_objects
    scored = showing_objects(
        listed_among(label_maps, snakemake.input.scored_list),
        read_index(objects[0], snakemake.input.classes) if objects else None,
    )
    score_label_maps(
        {image_id: label_maps[image_id] for image_id in scored},
        read_label_manifest([snakemake.input.masks]),
        read_classes(snakemake.input.classes),
        Path(snakemake.output.scores),
        filled_in(snakemake.params.conditions, snakemake.input.thresholds),
        Path(snakemake.output.images),
    )
