"""An artifact's ``provenance.json``: its identity, and each job that worked on it, such as those of its shards."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wsss_core.files.atomic import TEMPORARY_MARK, write_json

PROVENANCE = "provenance.json"
_ENTRIES = ".provenance"
log = logging.getLogger(__name__)


def recorded_jobs(provenance: Path) -> dict[str, dict[str, Any]]:
    """The jobs that made an artifact, by name: each has ``seconds``, ``device`` and more.

    No result depends on it: for a damaged file the log has a warning, and nothing is returned.
    """
    if not provenance.exists():
        return {}
    try:
        jobs = json.loads(provenance.read_text(encoding="utf-8"))["jobs"]
        if not all(isinstance(job["seconds"], int | float) and isinstance(job["device"], str) for job in jobs.values()):
            raise ValueError("a job has no seconds or no device")
        return dict(jobs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s: is damaged (%s); nothing is known about its jobs", provenance, error)
        return {}


def record_job(directory: Path, artifact: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> None:
    """Add a job's entry to an artifact's provenance, or replace it. Several jobs may do so at the same time.

    Some file systems have no locks, so none is used: each job writes its own file, and joins all files until no new one
    has come in the meantime. So the last job joins all.

    Args:
        directory: the artifact's.
        artifact: what ``provenance.json`` has besides its ``jobs``.
        name: the job's name.
        entry: the job's entry, as JSON values.

    Raises:
        OSError, UserError: something cannot be read or written.
    """
    write_json(directory / _ENTRIES / f"{name}.json", entry)
    joined = None
    while (entries := _entries(directory / _ENTRIES)) != joined:
        # Entries of earlier releases have no separate file.
        jobs = {**_jobs(directory / PROVENANCE), **entries}
        write_json(directory / PROVENANCE, {**artifact, "jobs": jobs})
        joined = entries


def _entries(folder: Path) -> dict[str, Any]:
    files = [file for file in folder.iterdir() if not file.name.startswith(TEMPORARY_MARK)]
    return {file.stem: entry for file in sorted(files) if (entry := _read(file)) is not None}


def _jobs(file: Path) -> dict[str, Any]:
    """The entries of ``provenance.json``; none from a damaged file, which is made again."""
    jobs = (_read(file) or {}).get("jobs")
    return jobs if isinstance(jobs, dict) else {}


def _read(file: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError):  # ValueError: not JSON, or not UTF-8
        value = json.loads(file.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    return None
