"""The command line, except for the workflow itself.

python -m wsss_core                 lists the commands
python -m wsss_core show --help     shows the options of one command, with an example
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wsss_core.errors import UserError
from wsss_core.files.atomic import TEMPORARY_MARK
from wsss_core.files.signals import end_at_signals

PROGRAM = "python -m wsss_core"
COMMANDS = {
    "show": "draw what experiments made of one image",
    "segment": "label new images with a trained segmenter",
    "export": "write a trained segmenter as an ONNX file",
    "labels": "export labels to an annotation tool, and import corrected masks",
    "pack": "put a trained experiment into one archive, for others",
    "unpack": "put such an archive into a results folder, as if it had been made there",
    "import-weights": "convert another program's file of weights for this workflow",
    "text-features": "make the text features that CLIP's image tower is compared with",
}
"""What each command does. The command ``import-weights`` is the module ``wsss_core.commands.import_weights``, which is
imported only when it is run: its docstring is the command's help, with an example; ``add_arguments(parser)`` declares
its options; ``run(options)`` does the work and returns the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command's name and its options; by default those of the process.

    Returns:
        The exit status: the command's own; 2 after an error that the user can correct, such as a place that cannot be
        written.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, *rest = given
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        print(f"there is no command '{name}'{hint}\n\n{_overview()}", file=sys.stderr)
        return 2
    command = importlib.import_module(f"wsss_core.commands.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    options = parser.parse_args(rest)
    try:
        return int(command.run(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        message = _in_words(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return 2


def _in_words(error: OSError) -> str | None:
    """Which path cannot be read or written, and why; None for other errors, such as a closed pipe."""
    place = error.filename2 or error.filename
    if error.errno is None or not isinstance(place, (str, os.PathLike)):
        return None
    path = Path(place)
    if path.name.startswith(TEMPORARY_MARK):  # nobody knows this name
        path = path.parent
    return f"{path}: cannot be read or written: {error.strerror}"


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND ...",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help shows the options and an example. To run the workflow itself, use `snakemake`.",
        ]
    )


if __name__ == "__main__":
    end_at_signals()
    sys.exit(main())
