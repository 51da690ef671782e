"""Puts a box of `python -m wsss_core pack` into a results folder, so that Snakemake has nothing to do.

    python -m wsss_core unpack cam.zip
    snakemake -n --configfile cam.yaml

Existing results stay. If one differs from that in the box, this is reported and nothing is written.
"""

import argparse
from pathlib import Path

from wsss_core.box.unpack import unpack
from wsss_core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("box", type=Path, metavar="ZIP", help="the archive")
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="the folder that Snakemake runs in; by default here"
    )
    parser.add_argument("--results", default="results", metavar="DIR", help="the results folder; by default results")


def run(options: argparse.Namespace) -> int:
    """Write the files."""
    if not options.folder.is_dir():
        raise UserError(f"--folder: {options.folder} is not a folder")
    configuration = unpack(options.box.absolute(), options.folder, options.results)
    print(f"{configuration}: the settings; `snakemake -n --configfile {configuration.name}` there has nothing to do")
    return 0
