"""How long names and paths of files may be."""

import os
from pathlib import Path

LONGEST_PATH = 4095
"""Bytes of a whole path, on Linux; most other systems stop earlier, few later."""
LONGEST_NAME = 255
"""Bytes of a name, nearly everywhere."""


def longest_name(folder: Path) -> int:
    """The bytes that a file's name may have in a folder, which is there or yet to be made."""
    for place in (folder, *folder.parents, Path(".")):
        try:
            return os.pathconf(place, "PC_NAME_MAX")
        except OSError:
            continue
    return LONGEST_NAME


def bytes_of(name: str | Path) -> int:
    """The length of a name or path as the file system counts it."""
    return len(str(name).encode("utf-8", "surrogatepass"))
