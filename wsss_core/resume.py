"""Progress of a long job, kept beside its declared output, that a rerun continues from.

Snakemake deletes the declared outputs of a job that failed or was killed. What such a job had
finished lies in an undeclared folder, ``<artifact>/.partial/<task>``, and a rerun goes on from
there, if its inputs are still the same files.
"""

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wsss_core.atomic import write_json


class PartialWork:
    """The folder in which one task of one artifact keeps what it has finished so far."""

    def __init__(self, artifact: Path | str, task: str, inputs: Iterable[Path | str]) -> None:
        """Open the folder; what was made from other inputs is thrown away.

        Args:
            artifact: the artifact's directory.
            task: name of the task in the artifact (``shard-001-of-008``); a plain file name.
            inputs: the files the task reads. A file is the same if path, size and modification
                time are the same.
        """
        self.folder = Path(artifact) / ".partial" / task
        fingerprint = [[str(path), (status := Path(path).stat()).st_size, status.st_mtime_ns] for path in inputs]
        record = self.folder / "inputs.json"
        if _recorded(record) != fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(record, fingerprint)

    def path(self, name: str) -> Path:
        """The path of a file of this name in the folder (written atomically by the caller)."""
        return self.folder / name

    def finish(self) -> None:
        """Remove the folder: the task's declared output is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another task of the artifact may still have a folder here
            self.folder.parent.rmdir()


def _recorded(record: Path) -> object:
    """The inputs that progress was made from; None where there is no readable record."""
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
