"""Progress of a long job, kept next to its declared outputs, from which a rerun continues.

Snakemake deletes the declared outputs of a job that failed or was killed. What such a job had finished is in an
undeclared folder, ``<artifact>/.partial/<task>-<digest of its inputs>``, and a rerun continues from there if its inputs
are still the same files.

If a kill comes after a job has finished, but before Snakemake knows it, Snakemake deletes the finished outputs, too. So
they stay in the folder as hard links, which take no space, until a run of the whole workflow has succeeded.
"""

import glob
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wsss_core.files.atomic import TEMPORARY_MARK

PARTIAL = ".partial"
_FINISHED = "finished-"
_SECONDS_OF_A_DAY = 86400
log = logging.getLogger(__name__)


class PartialWork:
    """The folder in which one task of one artifact keeps what it has finished so far."""

    def __init__(self, artifact: Path | str, task: str, inputs: Iterable[Path | str]) -> None:
        """Open the folder; what was made from other inputs is removed.

        Args:
            artifact: the artifact's directory.
            task: name of the task in the artifact (``shard-001-of-008``); a plain file name.
            inputs: the files that the task reads. A file is the same if path, size and modification time are the same.
        """
        fingerprint = [[str(path), (status := Path(path).stat()).st_size, status.st_mtime_ns] for path in inputs]
        digest = hashlib.sha256(json.dumps(fingerprint).encode()).hexdigest()[:10]
        parent = Path(artifact) / PARTIAL
        self.folder = parent / f"{task}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in _folders(parent):
            if re.fullmatch(rf"{re.escape(task)}-[0-9a-f]{{10}}", other.name) and other != self.folder:
                _clear(other)

    def path(self, name: str) -> Path:
        """The path of a file of this name in the folder (written atomically by the caller)."""
        return self.folder / name

    def finish(self, *outputs: Path, further: Iterable[str] = ()) -> None:
        """Remove the progress, as the task's declared outputs are complete.

        Args:
            outputs: the outputs that :meth:`restore` must be able to put back.
            further: names in the folder that also stay until a run of the whole workflow has succeeded.
        """
        kept = set(further)
        for output in outputs:
            with suppress(OSError):  # there are no hard links here, or another job of this task removed the output
                name = _finished_name(output, output)
                kept.add(name)
                _link(output, self.path(name))
        _clear(self.folder, kept)

    def restore(self, *outputs: Path) -> bool:
        """Put back outputs that a run had finished and that were deleted afterwards.

        Args:
            outputs: as for :meth:`finish`.

        Returns:
            Whether they were put back; False if one of them exists, as they must then be made again.
        """
        links = [self._kept(output) for output in outputs]
        if any(output.exists() for output in outputs) or None in links:
            return False
        try:
            for link, output in zip(links, outputs, strict=True):
                assert link is not None
                _link(link, output)
        except FileNotFoundError:  # another job of this task has finished and removed the link
            return False
        log.info("an earlier run had finished: %s", ", ".join(map(str, outputs)))
        return True

    def _kept(self, output: Path) -> Path | None:
        """The link to an output that an earlier run finished, if the output has not changed."""
        for link in self.folder.glob(f"{_FINISHED}*-{glob.escape(output.name)}"):
            with suppress(OSError):
                if link.name == _finished_name(output, link):
                    return link
        return None


def _finished_name(output: Path, link: Path) -> str:
    """The name of an output's link. It shows whether the file was changed, which changes it under both names."""
    status = link.stat()
    return f"{_FINISHED}{status.st_size}-{status.st_mtime_ns}-{output.name}"


def forget_finished_work(results: Path) -> None:
    """Remove what :meth:`PartialWork.restore` would put back, once Snakemake knows that everything is finished.

    Args:
        results: ``results/<dataset>``.
    """
    for folder in results.glob(f"*/*/{PARTIAL}/*"):
        names = [path.name for path in folder.iterdir()]
        if any(name.startswith(_FINISHED) for name in names) or (
            names and all(name.startswith(TEMPORARY_MARK) for name in names)
        ):
            _clear(folder)


def _link(source: Path, target: Path) -> None:
    """Make ``target`` a second name of the file ``source``, atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY_MARK}{secrets.token_hex(6)}-{target.name}")
    try:
        os.link(source, temporary)  # not atomic_path: permissions of a colleague's file cannot be set
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _folders(parent: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in parent.iterdir() if path.is_dir()]
    return []


def _clear(folder: Path, kept: Iterable[str] = ()) -> None:
    """Remove the files of a folder, then the folder and its parent if they are empty.

    What another job may be writing now stays: that job does the same work, or started before the inputs changed, and if
    it failed, Snakemake would delete the outputs.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if path.name not in kept and not _is_being_written(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for empty in (folder, folder.parent):
        with suppress(OSError):
            empty.rmdir()


def _is_being_written(path: Path) -> bool:
    """Whether it is a temporary file, but not left from a job that was killed long ago."""
    return path.name.startswith(TEMPORARY_MARK) and time.time() - path.stat().st_mtime < _SECONDS_OF_A_DAY
