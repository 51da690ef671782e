"""Puts a trained experiment into one archive: weights, settings, scores, provenance and a page about them.

    python -m wsss_core pack cam --licence CC-BY-4.0 --data-licence "photographs of our own" --author "A. Team"

`python -m wsss_core unpack` opens it elsewhere. The same results give the same bytes, and nothing in the archive is a
program.
"""

import argparse
from pathlib import Path

from wsss_core.box.one_experiment import absolute_paths, settings_of
from wsss_core.box.pack import Licences, pack
from wsss_core.commands.configfile import add_configfile, plan_of
from wsss_core.errors import UserError
from wsss_core.files.writable import check_file_can_be_written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("experiment", metavar="NAME", help="an experiment with complete results")
    parser.add_argument("--out", type=Path, metavar="ZIP", help="the archive to write; by default NAME.zip")
    parser.add_argument(
        "--with-maps",
        action="store_true",
        help="also pack class maps, label maps and generated images, so that others can build experiments on them",
    )
    parser.add_argument("--licence", metavar="TEXT", help="licence of the weights; by default 'not stated'")
    parser.add_argument("--data-licence", metavar="TEXT", help="licence of the images and labels they were trained on")
    parser.add_argument("--author", metavar="TEXT", help="whom to ask")
    add_configfile(parser)


def run(options: argparse.Namespace) -> int:
    """Write the archive."""
    box = options.out or Path(f"{options.experiment}.zip")
    if box.suffix != ".zip":
        raise UserError(f"--out: {box} must end in .zip")
    check_file_can_be_written(box)
    licences = Licences(
        *(_line(options, name) for name in ("licence", "data_licence", "author")),
    )
    config = plan_of(options).config
    description = pack(config, options.experiment, box, licences, options.with_maps)
    size = box.stat().st_size / 2**20
    print(f"{box}: {len(description['files'])} files, {size:.1f} MiB; its README.md is the page about it")
    also = ", climb.h5 and erasing.h5 show" if options.with_maps else " shows"
    print(f"note: overview.png{also} some of the images, and index.csv has the names and labels of all")
    for path in absolute_paths(settings_of(config, options.experiment)):
        print(f"note: {path} is a place on this machine: config.yaml names it, and index.csv and provenance.json may")
    for path in description["not_in_the_box"]:
        print(f"note: {path} is named in the settings, but is outside of this folder: it is not in the box")
    for path in description["extensions"]:
        print(f"note: {path} is a program: pass it on separately")
    return 0


def _line(options: argparse.Namespace, name: str) -> str | None:
    text: str | None = getattr(options, name)
    if text is not None and (not text.strip() or not text.isprintable()):
        raise UserError(f"--{name.replace('_', '-')}: must be one line of text, not {text!r}")
    return text
