"""Rule refine_seeds: seeds of a share of the images after a dense CRF, PAR or PAMR."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.averaging import refinement_in
    from wsss_core.config.background import BackgroundScore
    from wsss_core.datasets.index import index_of_job
    from wsss_core.evaluation.choose_threshold import threshold_from
    from wsss_core.files.cam_store import CamStoreReader
    from wsss_core.refinement.refined_seeds import refine_seeds

    seed_threshold = threshold_from(work.parameters["seed_threshold"], snakemake.input.seed_threshold)
    with CamStoreReader(snakemake.input.cams) as cams:
        refine_seeds(
            BackgroundScore(**work.parameters["background"]).resolved(seed_threshold),
            refinement_in(work.parameters),
            index_of_job(snakemake, "train"),
            cams,
            Path(snakemake.output.labels),
            work.run(),
        )
