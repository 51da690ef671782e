"""Checks that something can be written to a path, before the work that is to be written."""

import os
from pathlib import Path

from wsss_core.errors import UserError


def check_file_can_be_written(path: Path) -> None:
    """Refuse a path where no file can be made.

    Raises:
        UserError: it is a folder, or its folder cannot be written to.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file")
    _check_folder(path, path.parent)


def check_folder_can_be_written(path: Path) -> None:
    """Refuse a path where no folder can be made or written to.

    Raises:
        UserError: it is a file, or its folder cannot be written to.
    """
    _check_folder(path, path)


def _check_folder(path: Path, folder: Path) -> None:
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{path}: cannot be written, as {folder} is a file, or a link that leads nowhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written, as you may not write to the folder {folder}")
