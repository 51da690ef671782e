"""Rule generate_creatures: the generated data set, in the PASCAL VOC layout."""

from pathlib import Path

from wsss_core.jobs.job import job

with job(snakemake) as work:
    from wsss_core.config.dataset import Creatures
    from wsss_core.datasets.creatures.creatures import generate_creatures

    generate_creatures(Path(snakemake.output.images).parent, Creatures(**work.parameters))
