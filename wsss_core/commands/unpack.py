"""Puts a box of `python -m wsss_core pack` into a results folder, where Snakemake finds it as made.

    python -m wsss_core unpack cam.zip
    snakemake -n --configfile cam.yaml

Results that are there already stay; what would differ is told, and then nothing is written.
"""

import argparse
from pathlib import Path

from wsss_core.box.unpack import unpack
from wsss_core.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("box", type=Path, metavar="ZIP", help="the archive")
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="where Snakemake is run; by default here"
    )
    parser.add_argument("--results", default="results", metavar="DIR", help="of all results; by default results")


def run(options: argparse.Namespace) -> int:
    """Write the files."""
    if not options.folder.is_dir():
        raise UserError(f"--folder: {options.folder} is no folder")
    configuration = unpack(options.box.absolute(), options.folder, options.results)
    print(f"{configuration}: the settings; `snakemake -n --configfile {configuration.name}` there has nothing to do")
    return 0
