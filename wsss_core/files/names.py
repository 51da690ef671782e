"""The largest lengths of file names and paths."""

import os
from pathlib import Path

LONGEST_PATH = 4095
"""Most bytes of a whole path on Linux; most other systems allow fewer, few allow more."""
LONGEST_NAME = 255
"""Most bytes of a name on nearly all systems."""


def longest_name(folder: Path) -> int:
    """Most bytes of a file's name in a folder, which need not exist yet."""
    for place in (folder, *folder.parents, Path(".")):
        try:
            return os.pathconf(place, "PC_NAME_MAX")
        except OSError:
            continue
    return LONGEST_NAME


def bytes_of(name: str | Path) -> int:
    """The length of a name or path as the file system counts it."""
    return len(str(name).encode("utf-8", "surrogatepass"))
