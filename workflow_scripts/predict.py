"""Rules predict and predict_test: label maps of a share of the validation or the test images."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.segmentation import Prediction
    from wsss_core.datasets.index import index_of_job
    from wsss_core.segmentation.predict import predict

    kept = snakemake.output.get("probabilities")
    predict(
        Prediction(**work.parameters),
        index_of_job(snakemake, "val" if work.identity["stage"] == "predictions" else "test"),
        Path(snakemake.input.segmenter),
        Path(snakemake.output.labels),
        Path(kept) if kept else None,
        work.run(),
    )
