"""Files that appear whole or not at all: written under another name, flushed to disk, renamed."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wsss_core.errors import full_disk_explained

TEMPORARY_MARK = ".writing-"
"""At the start of the name of every file that is still being written (or that a killed process left)."""
unfinished: set[Path] = set()
"""Files, or folders, that this process is writing under temporary names."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``.

    The temporary name is unique, so two jobs that write the same artifact do not disturb each other: the rename is the
    commit, and the last one wins. On an exception the temporary file is removed and ``path`` stays as it was. The file
    gets the permissions that the umask gives to new files, and the folder's group, so that a team can share results.

    Args:
        path: the final path; its folder is made if it is missing.

    Yields:
        The path of an empty file, with the same suffix as ``path``.

    Raises:
        UserError: the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY_MARK}{secrets.token_hex(6)}-{temporary_end(path)}")
    with full_disk_explained(path):
        unfinished.add(temporary)
        try:
            _create(temporary)
            permissions = temporary.stat().st_mode & 0o777
            yield temporary
            # Some libraries (safetensors) replace it with their own file, which only its owner may read.
            if temporary.stat().st_mode & 0o777 != permissions:  # some file systems do not know permissions
                temporary.chmod(permissions)
            _flush(temporary)
            os.replace(temporary, path)
            with suppress(OSError):  # not all file systems flush folders; the file itself is flushed
                _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
            unfinished.discard(temporary)


def temporary_end(path: Path) -> str:
    """The end of a file's temporary names, after the mark and a random number."""
    # A name has at most 255 bytes, a character up to 4.
    return path.name if len(path.name) <= 50 else path.name[-50:]


@contextmanager
def scratch_folder(parent: Path | str) -> Iterator[Path]:
    """Yield a new folder in ``parent`` (made if missing), for files that are moved away when they are complete.

    Raises:
        UserError: the disk is full.
    """
    folder = Path(parent) / f"{TEMPORARY_MARK}{secrets.token_hex(6)}"
    unfinished.add(folder)
    with full_disk_explained(parent):
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.discard(folder)


def _create(path: Path) -> None:
    """Make an empty file, and its folder."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A job that finishes the same work may remove the folder in between, but not once it has a file.
        with suppress(FileNotFoundError):
            path.touch(exist_ok=False)
            return


def remove_unfinished_files() -> None:
    """Remove what this process has not finished writing, before it ends at once."""
    for path in list(unfinished):
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _flush(path: Path) -> None:
    """Flush the bytes of a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str, errors: str = "strict") -> None:
    """Write ``text`` (UTF-8; ``errors`` as for ``open``) to ``path`` atomically."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", errors=errors, newline="\n") as file:
        file.write(text)


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
