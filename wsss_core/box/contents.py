"""What may be in a box: names, kinds of files, and the description that lists them.

A box is a ZIP archive without compression, so that its bytes depend only on its content, and nothing in it can grow
when it is unpacked. ``box.json`` lists every other file with its size and digest.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath

from wsss_core.config.stages import STAGES
from wsss_core.errors import UserError

FORMAT, VERSION = "wsss-box", 1
DESCRIPTION, SETTINGS, CARD, SCORES, OVERVIEW = "box.json", "config.yaml", "README.md", "scores.csv", "overview.png"
ARTIFACTS, NEEDED = "artifacts", "needed"
"""Folders of artifacts, by stage and name, and of files that the settings name, by their path."""
SUFFIXES = (".csv", ".h5", ".jpg", ".json", ".md", ".png", ".safetensors", ".txt", ".xml", ".yaml")
"""Suffixes of all files in a box; none of these files can be run."""
NEEDED_SUFFIXES = (".png", ".safetensors", ".txt")
"""Suffixes of files that the settings name: lists of images, corrected masks, weights. None of these configures
anything."""
AT_THE_TOP = (DESCRIPTION, SETTINGS, CARD, SCORES, OVERVIEW)
_ARTIFACT = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{10}")


def check_name(name: str) -> None:
    """Refuse a file's name that is in another place, or of another kind, than a box's files are.

    Raises:
        UserError: saying what is wrong with it.
    """
    parts = name.split("/")
    if any(ord(character) < 32 or character in '\\:*?"<>|' for character in name):
        raise UserError(f"has a file with a character in its name that no box uses: {name!r}")
    if any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        raise UserError(f"has a file that would be outside of its folder, or hidden: {name!r}")
    if PurePosixPath(name).suffix not in (NEEDED_SUFFIXES if parts[0] == NEEDED else SUFFIXES):
        raise UserError(f"has a file of a kind that no box has: {name!r}")
    top = parts[0]
    artifact = top == ARTIFACTS and len(parts) > 3 and parts[1] in STAGES and _ARTIFACT.fullmatch(parts[2])
    if not (name in AT_THE_TOP or artifact or (top == NEEDED and len(parts) > 1)):
        raise UserError(f"has a file where a box has none: {name!r}")


def can_be_packed(path: str) -> bool:
    """Whether a file that the settings name is at a path that other folders can have, too."""
    try:
        check_name(f"{NEEDED}/{path}")
    except UserError:
        return False
    return True


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
