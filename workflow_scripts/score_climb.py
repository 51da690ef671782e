"""Rule score_climb: AdvCAM's seed, scored after every step of one climb."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.cams.score_climb import score_climb
    from wsss_core.config.stage_settings import stage_settings
    from wsss_core.datasets.index import index_of_job
    from wsss_core.datasets.label_maps import read_label_manifest
    from wsss_core.datasets.subset import listed_among
    from wsss_core.evaluation.classifier_verdict import stop_at_chance

    stop_at_chance(snakemake.input.verdict, work.runtime.classifier_at_chance)
    index = index_of_job(snakemake, "train")
    score_climb(
        stage_settings("cams", work.parameters["cams"]),
        index.only(listed_among(index.image_ids, snakemake.input.scored_list)),
        read_label_manifest([snakemake.input.masks]),
        Path(snakemake.input.classifier),
        (Path(snakemake.output.scores), Path(snakemake.output.amplification)),
        snakemake.params.conditions,
        work.run(but=["verdict", "images"]),
    )
