"""An artifact's ``provenance.json``: what it is, and each job that worked on it, such as those of its shards."""

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

    It is book-keeping that no result depends on: of a damaged file nothing is known, which the log says.
    """
    if not provenance.exists():
        return {}
    try:
        jobs = json.loads(provenance.read_text(encoding="utf-8"))["jobs"]
        if not all(isinstance(job["seconds"], int | float) and isinstance(job["device"], str) for job in jobs.values()):
            raise ValueError("a job has no seconds or no device")
        return dict(jobs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s: is damaged (%s); nothing is known of the jobs in it", provenance, error)
        return {}


def record_job(directory: Path, artifact: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> None:
    """Add a job's entry to an artifact's provenance, or replace it. Jobs may do so at the same time.

    Some file systems have no locks, so there is none: each job has a file of its own, and joins all of them until
    no other one has come since. Whoever is last joins all.

    Args:
        directory: the artifact's.
        artifact: what ``provenance.json`` says besides its ``jobs``.
        name: the job's name.
        entry: what is to be said of it, as JSON values.

    Raises:
        OSError, UserError: something cannot be read or written.
    """
    write_json(directory / _ENTRIES / f"{name}.json", entry)
    joined = None
    while (entries := _entries(directory / _ENTRIES)) != joined:
        # Those that an earlier release wrote have no file of their own.
        jobs = {**_jobs(directory / PROVENANCE), **entries}
        write_json(directory / PROVENANCE, {**artifact, "jobs": jobs})
        joined = entries


def _entries(folder: Path) -> dict[str, Any]:
    files = [file for file in folder.iterdir() if not file.name.startswith(TEMPORARY_MARK)]
    return {file.stem: entry for file in sorted(files) if (entry := _read(file)) is not None}


def _jobs(file: Path) -> dict[str, Any]:
    """The entries of ``provenance.json``; none of a file that is damaged, as it is made again."""
    jobs = (_read(file) or {}).get("jobs")
    return jobs if isinstance(jobs, dict) else {}


def _read(file: Path) -> dict[str, Any] | None:
    with suppress(FileNotFoundError, ValueError):  # ValueError: no JSON, or no UTF-8
        value = json.loads(file.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    return None
