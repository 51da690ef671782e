"""Rule make_affinity_labels: confident labels of a share of the images."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.refinement import AffinityLabels
    from wsss_core.datasets.index import index_of_job
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.affinity_labels import make_affinity_labels

    with CamStoreReader(snakemake.input.cams) as cams:
        make_affinity_labels(
            AffinityLabels(**work.parameters["labels"]),
            threshold_from(work.parameters["seed_threshold"], snakemake.input.seed_threshold),
            index_of_job(snakemake, "train"),
            cams,
            Path(snakemake.output.labels),
            work.run(),
        )
