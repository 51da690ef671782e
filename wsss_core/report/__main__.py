"""Shows what a run made of one image, as a picture of its own.

    python -m wsss_core.report show cams IMAGE_ID --experiments advcam cgnet

The page about the whole run is results/<dataset>/report.html; docs/report.md describes both.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from wsss_core.config import load_config, read_yaml
from wsss_core.errors import UserError
from wsss_core.plan.plan import Plan
from wsss_core.report.show import SHOWN_STAGES, show_image

CONFIGFILE = "config.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        The exit status: 0, or 2 after an error that the user can put right.
    """
    parser = argparse.ArgumentParser(prog="python -m wsss_core.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "show", help="draw what experiments made of one image, and print the picture's path"
    )
    command.add_argument(
        "stage", choices=SHOWN_STAGES, help="what is to be seen; other stages are shown if they are there"
    )
    command.add_argument("image_id", metavar="IMAGE_ID", help="as in the data set's index.csv")
    command.add_argument(
        "--experiments", nargs="+", default=[], metavar="NAME", help="by default all of which it is made"
    )
    command.add_argument("--configfile", default=CONFIGFILE, metavar="FILE", help=f"by default {CONFIGFILE}")
    command.add_argument("--output", type=Path, metavar="PNG", help="by default in results/<dataset>/shown")
    options = parser.parse_args(arguments)
    given = "" if options.configfile == CONFIGFILE else f" --configfile {shlex.quote(options.configfile)}"
    try:
        plan = Plan(load_config(read_yaml(options.configfile)))
        # Snakemake's targets come before --configfile, which takes several values.
        path = show_image(plan, options.stage, options.image_id, options.experiments, options.output, given)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
