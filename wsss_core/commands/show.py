"""Draws what a run made of one image as one picture, and prints the picture's path.

    python -m wsss_core show cams creature_000007 --experiments advcam cgnet

The page about the whole run is results/<dataset>/report.html; docs/report.md describes both.
"""

import argparse
from pathlib import Path

from wsss_core.commands.configfile import add_configfile, plan_of, snakemake_options
from wsss_core.report.show import SHOWN_STAGES, show_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("stage", choices=SHOWN_STAGES, help="the stage to show; other stages are shown if they exist")
    parser.add_argument("image_id", metavar="IMAGE_ID", help="as in the data set's index.csv")
    parser.add_argument(
        "--experiments", nargs="+", default=[], metavar="NAME", help="by default all that have made the stage"
    )
    add_configfile(parser)
    parser.add_argument("--output", type=Path, metavar="PNG", help="by default a file in results/<dataset>/shown")


def run(options: argparse.Namespace) -> int:
    """Draw the picture."""
    plan, given = plan_of(options), snakemake_options(options)
    print(show_image(plan, options.stage, options.image_id, options.experiments, options.output, given))
    return 0
