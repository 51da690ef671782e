"""What an artifact's ``provenance.json`` says of the jobs that made it."""

import json
import logging
from pathlib import Path
from typing import Any

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
