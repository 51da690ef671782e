"""What a job, and a call of ``snakemake``, pay before any work is done.

``python -m benchmarks.startup`` measures in processes of their own:

* what each script of ``workflow_scripts`` imports, and, as the baseline, what a script would pay that
  imports all that any of them does: the usual state of affairs, where imports stand at the top of modules;
* what Snakemake needs for a job that does nothing, as the difference between eleven of them and one;
* planning: of the demo, of the demo with nothing to do, and of a large configuration (``--experiments``,
  ``--shards``; more of that in ``benchmarks.plan``).

``--results results/creatures`` reads how long a finished run's jobs took (Snakemake's benchmark files and
the jobs' logs) and says, rule by rule, what share of the wall time was start-up; imports as they are measured in
this call, by processor time, which at rest is the wall clock's.

``ratio`` is by processor time, which a busy machine changes little: the baseline's imports over those of the
demo's jobs, in the mean of all its jobs. Nothing is computed, so nothing deviates.
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
        return f"{self.wall:.2f} s, of the processor {self.processor:.2f} s"


def imports_of(scripts: Iterable[Path]) -> str:
    """All import statements of scripts, also those within their jobs, as a program."""
    trees = [ast.parse(script.read_text()) for script in scripts]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in nodes)


def run_python(code: str) -> Cost:
    """What a new interpreter takes for a program."""
    return Cost(*timed([sys.executable, "-c", code])[1:])


def snakemake(folder: Path, *arguments: str) -> tuple[str, Cost]:
    """What the workflow says on arguments in a folder, and what that takes."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *arguments]
    output, *cost = timed([*command, "--configfile", str(REPOSITORY / "config.yaml"), "--directory", str(folder)])
    return output, Cost(*cost)


def jobs_planned(output: str) -> dict[str, int]:
    """Number of jobs by rule, of what ``snakemake -n`` says."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+) *$", output, re.M) if rule != "total"}


def pretend(output: str, folder: Path) -> None:
    """Make all files that ``snakemake -n`` said would be made, empty ones, in that order."""
    for number, line in enumerate(re.findall(r"^ +output: (.+)$", output, re.M)):
        for name in line.split(", "):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
            os.utime(path, (number, number))


def cost_of_a_job(folder: Path) -> Cost:
    """What one more job that does nothing costs a run of Snakemake."""
    (folder / "Snakefile").write_text(NOTHING)
    (folder / "nothing.py").write_text("open(snakemake.output[0], 'w').close()\n")
    costs = []
    for count in (1, JOBS + 1):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--forceall", "--config", f"count={count}"]
        costs.append(timed([*command, "--directory", str(folder), "--snakefile", str(folder / "Snakefile")])[1:])
    few, many = costs
    return Cost((many[0] - few[0]) / JOBS, (many[1] - few[1]) / JOBS)


def print_planning(experiments: int, shards: int) -> dict[str, int]:
    """Print what Snakemake costs; the number of the demo's jobs by rule."""
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
    compileall.compile_dir(REPOSITORY / "wsss_core", quiet=2)  # nobody pays for this twice
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
    print(f"a job of the demo imports for {mean:.2f} s of the processor, in the mean of {len(paid)}")
    print(last_line(everything.processor / mean, 0.0))


if __name__ == "__main__":
    main()
