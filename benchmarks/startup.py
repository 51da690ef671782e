"""Measures the start-up time of jobs and of ``snakemake``.

``python -m benchmarks.startup`` measures in separate processes:

* the imports of each script in ``workflow_scripts``, and, as the baseline, of a script that imports everything that any
  of them imports, as with the usual imports at the top of modules;
* Snakemake's time for a job that does nothing, as the difference between eleven such jobs and one;
* planning of the demo, of the finished demo, and of a large configuration (``--experiments``, ``--shards``; see also
  ``benchmarks.plan``).

``--results results/creatures`` reads the times of a finished run's jobs (Snakemake's benchmark files and the jobs'
logs) and prints, by rule, the proportion of the wall time for start-up. It uses the imports' processor time in this
call, which on an idle machine equals wall time.

``ratio`` uses processor time, on which a busy machine has little effect: the baseline's imports over the mean of the
imports of the demo's jobs. ``deviation`` is always 0.
"""

import argparse
import ast
import compileall
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import heading, last_line
from benchmarks.plan import REPOSITORY, configuration, plan_jobs, timed
from benchmarks.stage_times import as_table, scripts_of_rules, stage_times

SCRIPTS = REPOSITORY / "workflow_scripts"
NOTHING = """
rule all:
    input: [f"made/{n}" for n in range(config["count"])]
rule nothing:
    output: "made/{n}"
    benchmark: "benchmarks/{n}.tsv"
    script: "nothing.py"
"""
JOBS = 10


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, processor time {self.processor:.2f} s"


def imports_of(scripts: Iterable[Path]) -> str:
    """A program with all import statements of scripts, including those inside functions."""
    trees = [ast.parse(script.read_text()) for script in scripts]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in nodes)


def run_python(code: str) -> Cost:
    """The time of a program in a new interpreter."""
    return Cost(*timed([sys.executable, "-c", code])[1:])


def snakemake(folder: Path, *arguments: str) -> tuple[str, Cost]:
    """The workflow's output for arguments in a folder, and its time."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *arguments]
    output, *cost = timed([*command, "--configfile", str(REPOSITORY / "config.yaml"), "--directory", str(folder)])
    return output, Cost(*cost)


def jobs_planned(output: str) -> dict[str, int]:
    """The number of jobs by rule in the output of ``snakemake -n``."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+) *$", output, re.M) if rule != "total"}


def pretend(output: str, folder: Path) -> None:
    """Make empty files for all planned outputs of ``snakemake -n``, in order."""
    for number, line in enumerate(re.findall(r"^ +output: (.+)$", output, re.M)):
        for name in line.split(", "):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
            os.utime(path, (number, number))


def cost_of_a_job(folder: Path) -> Cost:
    """The additional time of a Snakemake run for one more job that does nothing."""
    (folder / "Snakefile").write_text(NOTHING)
    (folder / "nothing.py").write_text("open(snakemake.output[0], 'w').close()\n")
    costs = []
    for count in (1, JOBS + 1):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--forceall", "--config", f"count={count}"]
        costs.append(timed([*command, "--directory", str(folder), "--snakefile", str(folder / "Snakefile")])[1:])
    few, many = costs
    return Cost((many[0] - few[0]) / JOBS, (many[1] - few[1]) / JOBS)


def print_planning(experiments: int, shards: int) -> dict[str, int]:
    """Print Snakemake's times; returns the number of the demo's jobs by rule."""
    with tempfile.TemporaryDirectory() as name:
        print(f"one more job that does nothing: {cost_of_a_job(Path(name))}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        output, cost = snakemake(Path(name), "--dry-run")
        jobs = jobs_planned(output)
        print(f"snakemake -n of the demo, {sum(jobs.values())} jobs: {cost}", flush=True)
        pretend(output, Path(name))
        output, cost = snakemake(Path(name), "--dry-run", "--rerun-triggers", "mtime")
        left = sum(jobs_planned(output).values())
        print(f"with nothing to do ({left} jobs left): {cost}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        output, *large = plan_jobs(configuration(experiments, shards), Path(name))
        number = sum(jobs_planned(output).values())
        print(f"{experiments} experiments in {shards} shards, {number} jobs: {Cost(*large)}", flush=True)
    return jobs


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--experiments", type=int, default=10, help="of the large configuration (default: 10)")
    parser.add_argument("--shards", type=int, default=16, help="of the large configuration (default: 16)")
    parser.add_argument("--results", type=Path, help="a data set's folder of results, of a finished run")
    options = parser.parse_args(arguments)
    print(heading(1), flush=True)
    compileall.compile_dir(REPOSITORY / "wsss_core", quiet=2)  # so that no measurement includes it
    scripts = sorted(SCRIPTS.glob("*.py"))
    everything = run_python(imports_of(scripts))
    print(f"imports of everything: {everything}; bare interpreter: {run_python('pass')}", flush=True)
    costs = {}
    for script in scripts:
        costs[script.stem] = run_python(imports_of([script]))
        print(f"imports of {script.stem}: {costs[script.stem]}", flush=True)
    script_of = scripts_of_rules(REPOSITORY / "rules")
    if options.results is not None:
        imports = {rule: costs[script].processor for rule, script in script_of.items()}
        print(f"\n{as_table(stage_times(options.results, imports))}\n")
    jobs = print_planning(options.experiments, options.shards)
    paid = [costs[script_of[rule]].processor for rule, count in jobs.items() if rule in script_of for _ in range(count)]
    mean = sum(paid) / len(paid)
    print(f"imports of a job of the demo: processor time {mean:.2f} s, mean of {len(paid)} jobs")
    print(last_line(everything.processor / mean, 0.0))


if __name__ == "__main__":
    main()
