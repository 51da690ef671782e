"""The options of all commands that use a trained segmenter, an experiment's or a file's."""

import argparse
from pathlib import Path

from wsss_core.commands.configfile import add_configfile, plan_of, snakemake_options
from wsss_core.plan.trained_segmenter import TrainedSegmenter, segmenter_of_experiment, segmenter_of_file


def add_segmenter(parser: argparse.ArgumentParser) -> None:
    """Declare ``--experiment``, ``--weights`` and ``--configfile``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--experiment", metavar="NAME", help="the experiment whose trained segmenter is used")
    which.add_argument(
        "--weights", type=Path, metavar="FILE", help="a segmenter's weights.safetensors; no configuration is needed"
    )
    add_configfile(parser)


def segmenter_of(options: argparse.Namespace) -> TrainedSegmenter:
    """The named segmenter.

    Raises:
        UserError: it does not exist, or is not trained yet.
    """
    if options.experiment is not None:
        return segmenter_of_experiment(plan_of(options), options.experiment, snakemake_options(options))
    from wsss_core.networks.segmenter_files import segmenter_description  # imports torch

    return segmenter_of_file(options.weights, segmenter_description(options.weights)["network"])
