"""The start-up time of a finished run's jobs, by rule, from Snakemake's benchmark files and the jobs' logs."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from wsss_core.errors import UserError

MOST = 0.25
"""The largest acceptable proportion of a job's wall time for start-up."""
DONE = re.compile(r"INFO done in ([\d.]+) s")
"""The last line of a job's log: the time since its script's first line."""


class StageTimes(NamedTuple):
    """Means over the jobs of a rule, seconds of wall time."""

    rule: str
    jobs: int
    whole: float
    """From the start of the job's process to its end."""
    before: float
    """Until the script's first line: the interpreter, and Snakemake's own work."""
    imports: float
    """The script's imports, measured separately."""

    @property
    def outside(self) -> float:
        """The proportion of the time for start-up."""
        return min(1.0, (self.before + self.imports) / self.whole)


def stage_times(results: Path, imports: Mapping[str, float]) -> list[StageTimes]:
    """The times of a run by rule, longest first.

    Args:
        results: a data set's folder of results, with ``benchmarks`` and ``logs``.
        imports: seconds for the imports of each rule.

    Raises:
        UserError: there are no benchmark files.
    """
    files = sorted(results.glob("benchmarks/*/*.tsv"))
    if not files:
        raise UserError(f"{results}: has no benchmarks/<rule>/*.tsv; give the folder of a finished run's results")
    measured: dict[str, list[tuple[float, float]]] = {}
    for file in files:
        with file.open() as table:
            whole = float(next(csv.DictReader(table, delimiter="\t"))["s"])
        log = results / "logs" / file.parent.name / f"{file.stem}.log"
        done = DONE.findall(log.read_text(errors="replace")) if log.exists() else []
        if done:  # otherwise the job ran another program, or its log belongs to a later attempt
            measured.setdefault(file.parent.name, []).append((whole, max(0.0, whole - float(done[-1]))))
    rows = [
        StageTimes(rule, len(jobs), fmean(whole for whole, _ in jobs), fmean(late for _, late in jobs), imports[rule])
        for rule, jobs in measured.items()
        if rule in imports
    ]
    return sorted(rows, key=lambda row: -row.jobs * row.whole)


def scripts_of_rules(rules: Path) -> dict[str, str]:
    """The name of the script of each rule, if it has one."""
    found = {}
    for file in sorted(rules.glob("*.smk")):
        for rule in re.split(r"^(?=rule |use rule )", file.read_text(), flags=re.M):
            script = re.search(r"workflow_scripts/(\w+)\.py", rule)
            if script and (name := re.match(r"rule (\w+)", rule)):
                found[name[1]] = script[1]
            elif copied := re.match(r"use rule (\w+) as (\w+)", rule):
                found[copied[2]] = found[copied[1]]
    return found


def as_table(rows: list[StageTimes]) -> str:
    """The rows as Markdown."""
    lines = [
        "| rule | jobs | seconds per job | before the script | imports | start-up |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{100 * row.outside:.0f} %" + (" (!)" if row.outside > MOST else "")
        lines.append(f"| {row.rule} | {row.jobs} | {row.whole:.1f} | {row.before:.1f} | {row.imports:.1f} | {share} |")
    whole = sum(row.jobs * row.whole for row in rows)
    outside = sum(row.jobs * row.whole * row.outside for row in rows)
    lines.append(f"| all | {sum(row.jobs for row in rows)} | | | | {100 * outside / whole:.0f} % |")
    return "\n".join(lines)
