"""Measures planning: ``snakemake -n`` on many experiments in many shards, and the start of a job.

``python -m benchmarks.plan`` plans experiments with all stages, each with its own class maps, labels and networks,
without data. The baseline is Snakemake itself, in the same call: as many jobs of one rule, each with three input
files, a log and a benchmark file, whose names need no function. Processor time is also printed, because wall time is
unreliable on a busy machine.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import heading
from wsss_core.config import read_yaml

REPOSITORY = Path(__file__).parents[1]
STARTS = {"interpreter": "pass", "import wsss_core": "import wsss_core", "import torch": "import torch"}
"""What each job does before its work."""
BASELINE = """
rule all:
    input: expand("out/{{job}}.txt", job=range({jobs}))
rule job:
    input: "in/a.txt", "in/b.txt", "in/c.txt"
    output: "out/{{job}}.txt"
    log: "logs/{{job}}.txt"
    benchmark: "times/{{job}}.txt"
    params: identity="the same"
    threads: 1
    resources: mem_mb=1000
    script: "nothing.py"
"""
"""A workflow that has jobs and decides nothing."""


def configuration(experiments: int, shards: int) -> dict[str, Any]:
    """The demo's variants, in many experiments that only share the classifier."""
    config = read_yaml(REPOSITORY / "config.yaml")
    config["dataset"] = {"name": "planned", "generate": {"train_images": 100 * shards, "val_images": 100 * shards}}
    config["experiments"] = {}
    for number in range(experiments):
        config["cams"][f"advcam_{number}"] = {"extends": "advcam", "steps": number + 1}
        config["experiments"][f"advcam_{number}"] = {
            "cams": f"advcam_{number}",
            "affinity": "affinitynet" if number % 2 else "irn",
            "segmenter": "deeplab",
        }
    config["runtime"] = {"shards": shards, "device": "cpu"}
    return config


def plan_jobs(config: dict[str, Any], folder: Path) -> tuple[str, float, float]:
    """The output of ``snakemake -n`` for a configuration, and its wall and processor time, seconds."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return _dry_run(REPOSITORY / "Snakefile", folder, "--configfile", str(file))


def plan_baseline(jobs: int, folder: Path) -> tuple[str, float, float]:
    """The same for ``BASELINE`` with this number of jobs."""
    for name in ("nothing.py", *(f"in/{letter}.txt" for letter in "abc")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    snakefile = folder / "Snakefile"
    snakefile.write_text(BASELINE.format(jobs=jobs - 1))  # and `all`
    return _dry_run(snakefile, folder, "--workflow-profile", "none")


def _dry_run(snakefile: Path, folder: Path, *options: str) -> tuple[str, float, float]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(folder)]
    return timed([*command, "--dry-run", *options])


def timed(command: Sequence[str]) -> tuple[str, float, float]:
    """The output of a command, and its wall and processor time, seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stdout}")
    output = ended.stdout
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    """Plan and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--shards", type=int, default=64)
    options = parser.parse_args(arguments)
    print(heading(1))
    for what, code in STARTS.items():
        _, wall, processor = timed([sys.executable, "-c", code])
        print(f"{what}: {wall:.2f} s, processor time {processor:.2f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        output, wall, processor = plan_jobs(configuration(options.experiments, options.shards), Path(folder))
    jobs = int(next(line.split()[1] for line in output.splitlines() if line.startswith("total ")))
    print(f"{options.experiments} experiments in {options.shards} shards: {jobs} jobs")
    print(f"snakemake -n: {wall:.1f} s, processor time {processor:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        _, wall, alone = plan_baseline(jobs, Path(folder))
    print(f"Snakemake alone, as many jobs: {wall:.1f} s, processor time {alone:.1f} s; ratio {processor / alone:.2f}")


if __name__ == "__main__":
    main()
