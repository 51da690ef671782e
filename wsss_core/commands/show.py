"""Shows what a run made of one image, as a picture of its own, and prints the picture's path.

    python -m wsss_core show cams creature_000007 --experiments advcam cgnet

The page about the whole run is results/<dataset>/report.html; docs/report.md describes both.
"""

import argparse
import shlex
from pathlib import Path

from wsss_core.commands.configfile import CONFIGFILE, add_configfile, plan_of
from wsss_core.report.show import SHOWN_STAGES, show_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "stage", choices=SHOWN_STAGES, help="what is to be seen; other stages are shown if they are there"
    )
    parser.add_argument("image_id", metavar="IMAGE_ID", help="as in the data set's index.csv")
    parser.add_argument(
        "--experiments", nargs="+", default=[], metavar="NAME", help="by default all of which it is made"
    )
    add_configfile(parser)
    parser.add_argument("--output", type=Path, metavar="PNG", help="by default in results/<dataset>/shown")


def run(options: argparse.Namespace) -> int:
    """Draw the picture."""
    given = "" if options.configfile == CONFIGFILE else f" --configfile {shlex.quote(options.configfile)}"
    # Snakemake's targets come before --configfile, which takes several values.
    print(show_image(plan_of(options), options.stage, options.image_id, options.experiments, options.output, given))
    return 0
