"""Costs of the work: time, memory and GPU time of every rule's jobs, and of every experiment."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_core.files.provenance import recorded_jobs
from wsss_core.report.artifact_graph import needed_artifacts, upstream_of

SHARD = re.compile(r"\.\d{3}-of-(\d{3})$")
DIGEST = re.compile(r"-([0-9a-f]{10})$")


@dataclass(frozen=True)
class JobCost:
    """The cost of one job."""

    rule: str
    digest: str
    """Digest of the artifact that it made or scored."""
    artifact: str
    """The artifact's directory name."""
    seconds: float
    """From its start to its end."""
    cpu_seconds: float
    """Sum over its processors; NaN if it was not measured."""
    memory: float
    """Largest resident memory, MiB; NaN if it was not measured."""
    gpu_seconds: float
    """The job's time if it computed on a GPU, else 0."""


@dataclass(frozen=True)
class Cost:
    """The cost of several jobs."""

    name: str
    """A rule, or an experiment."""
    jobs: int
    seconds: float
    cpu_seconds: float
    memory: float
    """The largest of the jobs' memory, MiB."""
    gpu_seconds: float


def job_costs(folder: Path, artifacts: Sequence[Mapping[str, Any]]) -> list[JobCost]:
    """The costs of all jobs that made or scored artifacts, as Snakemake measured them.

    If an artifact was made twice, with different numbers of shards, only the newest jobs count.

    Args:
        folder: ``results/<dataset>``, with the folder ``benchmarks``.
        artifacts: each with its ``stage`` and ``directory``.
    """
    wanted = {
        found[1]: artifact
        for artifact in artifacts
        if (found := DIGEST.search(Path(artifact["directory"]).name)) is not None
    }
    on_gpu = {digest: _gpu_seconds(Path(artifact["directory"])) for digest, artifact in wanted.items()}
    by_work: dict[tuple[str, str], list[Path]] = {}
    for file in sorted((folder / "benchmarks").glob("*/*.tsv")):
        found = DIGEST.search(SHARD.sub("", file.stem))
        if found is not None and found[1] in wanted:
            by_work.setdefault((file.parent.name, found[1]), []).append(file)
    costs = []
    for (rule, digest), files in by_work.items():
        newest = _shards_of(max(files, key=lambda file: file.stat().st_mtime))
        for file in files:
            measured = _measured(file) if _shards_of(file) == newest else None
            if measured is not None:
                name = Path(wanted[digest]["directory"]).name
                gpu = on_gpu[digest].get(file.stem, 0.0)
                costs.append(JobCost(rule, digest, name, *measured, gpu))
    return costs


def costs_of_rules(jobs: Sequence[JobCost]) -> list[Cost]:
    """The cost of each rule's jobs, the most expensive rule first."""
    rules = dict.fromkeys(job.rule for job in jobs)
    return sorted(
        (_together(rule, [job for job in jobs if job.rule == rule]) for rule in rules), key=lambda cost: -cost.seconds
    )


def costs_of_experiments(
    jobs: Sequence[JobCost], artifacts: Sequence[Mapping[str, Any]], stages: Mapping[str, Mapping[str, str]]
) -> dict[str, Cost]:
    """What each experiment would have cost by itself: all that it needs, including what it shares with others.

    Args:
        jobs: the costs.
        artifacts: each with its ``directory`` and, by role, the directories ``upstream``.
        stages: by experiment and stage, the artifact's directory.
    """
    costs = {}
    for name, directories in needed_artifacts(upstream_of(artifacts), stages).items():
        names = {Path(directory).name for directory in directories}
        costs[name] = _together(name, [job for job in jobs if job.artifact in names])
    return costs


def _together(name: str, jobs: Sequence[JobCost]) -> Cost:
    return Cost(
        name,
        len(jobs),
        sum(job.seconds for job in jobs),
        sum(job.cpu_seconds for job in jobs if not math.isnan(job.cpu_seconds)),
        max((job.memory for job in jobs if not math.isnan(job.memory)), default=math.nan),
        sum(job.gpu_seconds for job in jobs),
    )


def _shards_of(file: Path) -> str:
    found = SHARD.search(file.stem)
    return found[1] if found else ""


def _measured(file: Path) -> tuple[float, float, float] | None:
    """Seconds, processor seconds and memory in a benchmark file; None if Snakemake has not filled it."""
    with open(file, newline="", encoding="utf-8", errors="replace") as table:
        rows = list(csv.DictReader((line.replace("\0", "") for line in table), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or math.isnan(_number(rows[-1].get("s"))):
        return None
    return tuple(_number(rows[-1].get(column)) for column in ("s", "cpu_time", "max_rss"))  # type: ignore[return-value]


def _number(text: str | None) -> float:
    """A number in a benchmark file, which has NA or - for a job too short to be measured."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _gpu_seconds(directory: Path) -> dict[str, float]:
    """The seconds of an artifact's jobs that computed on a GPU, by job, from its provenance."""
    jobs = recorded_jobs(directory / "provenance.json")
    return {name: float(job["seconds"]) for name, job in jobs.items() if not job["device"].startswith("CPU")}
