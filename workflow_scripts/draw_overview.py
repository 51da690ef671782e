"""Rule draw_overview: a picture of images, masks, class maps and pseudo labels."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.report.overview import draw_overview

    draw_overview(
        read_index(snakemake.input.index, snakemake.input.classes).split("train"),
        read_label_manifest([snakemake.input.masks]) if snakemake.input.masks else {},
        snakemake.params.experiments,
        Path(snakemake.output.picture),
    )
