"""Rule generate_creatures: the embedded data set, in the PASCAL VOC layout."""

from pathlib import Path

from wsss_core.jobs.job import job

identity = snakemake.params.identity
directory = Path(snakemake.output.images).parent
with job(snakemake.log[0], snakemake.threads, identity, directory):
    from wsss_core.config.dataset import Creatures
    from wsss_core.datasets.creatures.creatures import generate_creatures

    generate_creatures(directory, Creatures(**identity["parameters"]))
