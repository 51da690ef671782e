"""Rule index_subset: the masks of listed images, for choosing a threshold or training a segmenter."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake):
    from wsss_core.datasets.index import read_index
    from wsss_core.datasets.label_maps import read_label_manifest, write_label_manifest
    from wsss_core.datasets.subset import masks_of_subset

    index = read_index(snakemake.input.index, snakemake.input.classes)
    masks = read_label_manifest([snakemake.input.masks])
    trained_on = snakemake.wildcards.listing == "listed_masks"
    listed = masks_of_subset(Path(snakemake.input.subset), index, masks, not_all=trained_on)
    write_label_manifest({image_id: path.absolute() for image_id, path in listed.items()}, snakemake.output.masks)
