"""Files that appear whole or not at all: written beside, flushed to disk, renamed."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TEMPORARY_MARK = ".writing-"
"""In the name of every file that is still being written (and of leftovers of killed writers)."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``.

    The temporary name is unique, so two jobs that write the same artifact do each other no
    harm: the rename is the commit and the last one wins. On an exception the temporary file
    is removed and ``path`` is left as it was. The file has the permissions that the umask gives
    to new files, and the group that the folder does, so that a team can share the results.

    Args:
        path: the final path; its folder is made when missing.

    Yields:
        A path that does not exist yet, with the same suffix as ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_MARK}{secrets.token_hex(6)}-{path.name}")
    try:
        yield temporary
        _let_others_read(temporary)
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _let_others_read(path: Path) -> None:
    """Give a private file the permissions of an ordinary new one.

    Some libraries (safetensors) write a temporary file of their own and rename it, and such a one
    is for its owner alone.
    """
    if path.stat().st_mode & 0o077:
        return
    ordinary = path.with_name(f"{path.name}.mode")
    try:
        ordinary.touch(exist_ok=False)
        path.chmod(ordinary.stat().st_mode & 0o777)
    finally:
        ordinary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Bring a file's (or a folder's list of names) bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
