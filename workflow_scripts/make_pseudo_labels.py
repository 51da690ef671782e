"""Rule make_pseudo_labels: one label per pixel, for a share of the training images."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.refinement import PseudoLabels
    from wsss_core.datasets.index import index_of_job
    from wsss_core.datasets.index_saliency import read_saliency_table
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.pseudo_labels import make_pseudo_labels

    settings = PseudoLabels(**work.parameters["pseudo_labels"])
    seed_threshold = threshold_from(work.parameters["seed_threshold"], snakemake.input.seed_threshold)
    threshold = threshold_from(None, snakemake.input.threshold)
    saliency = [read_saliency_table(table) for table in snakemake.input.saliency]
    with CamStoreReader(snakemake.input.maps) as maps:
        make_pseudo_labels(
            settings,
            settings.background.resolved(seed_threshold, threshold),
            index_of_job(snakemake, "train"),
            maps,
            Path(snakemake.output.labels),
            work.run(),
            saliency[0] if saliency else None,
            read_label_manifest(snakemake.input.segments),
        )
