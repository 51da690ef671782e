"""Runs all benchmarks of speed one after the other, and writes a table of their results.

``python -m benchmarks.all`` (or ``make bench``) runs each in its own process, in less than 15 minutes on 2 cores, and
writes ``speed.md`` and ``speed.csv`` to ``results/benchmarks``, together with each benchmark's output as
``<name>.txt``. Names select benchmarks. With ``--device cuda`` (``make bench-gpu``), only the benchmarks with a GPU
version run, and the files are called ``speed_cuda``.

A benchmark that fails, or whose last line holds no figures, is in the table with its error; the exit status is then 1.
"""

import argparse
import csv
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.tables import machine
from wsss_core.files.atomic import write_text

REPOSITORY = Path(__file__).parents[1]
ON_GPU = ("advcam", "multiscale", "training", "prediction", "random_walk", "averaging")
"""Benchmarks that support ``--device cuda``."""
BENCHMARKS = (*ON_GPU, "crf", "cam_store", "pair_labels", "startup")
"""All benchmarks, in the order in which they run."""
LIMIT = 600
"""Seconds after which a benchmark is stopped."""
FIGURES = re.compile(r"ratio=(\S+) deviation=(\S+)")
"""The last line of a benchmark's output."""


class Row(NamedTuple):
    """One benchmark's line of the table."""

    benchmark: str
    ratio: str
    deviation: str
    seconds: str
    load: str
    """Load of the machine at the start: a ratio is less reliable on a busy machine."""
    error: str
    """Empty if it succeeded."""


def run(name: str, device: str, folder: Path, limit: float = LIMIT) -> Row:
    """Run a benchmark in a new process, and save its output in ``folder``."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--device", device] if device != "cpu" else [])]
    load, start = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"), time.perf_counter()
    try:
        ended = subprocess.run(
            command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit
        )
        output, status = ended.stdout, f"exit status {ended.returncode}" if ended.returncode else ""
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        status = f"not done after {limit:g} s"
    duration = time.perf_counter() - start
    write_text(folder / f"{name}.txt", output)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    figures = FIGURES.fullmatch(last)
    if not status and figures is None:
        status = "its last line holds no figures"
    ratio, deviation = figures.groups() if figures and not status else ("", "")
    error_text = f"{status}: {last}" if status else ""
    return Row(name, ratio, deviation, f"{duration:.0f}", f"{load:.1f}", error_text)


def table(rows: Sequence[Row], heading: str) -> str:
    """The rows as Markdown."""
    lines = [heading, "", "| benchmark | ratio | deviation | seconds | load at its start |", "|---|---|---|---|---|"]
    for row in rows:
        figures = [f"**failed**: {row.error.replace('|', '/')}", ""] if row.error else [row.ratio, row.deviation]
        lines.append(f"| {' | '.join([row.benchmark, *figures, row.seconds, row.load])} |")
    return "\n".join(lines) + "\n"


def commit() -> str:
    """The measured commit, with a plus sign if files differ from it; "unknown" outside a git repository."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git repository)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "results" / "benchmarks")
    options = parser.parse_args(arguments)
    on_gpu = options.device == "cuda"
    known = ON_GPU if on_gpu else BENCHMARKS
    for name in options.names:
        if name not in known:
            where = " with a GPU version" if on_gpu else ""
            parser.error(f"there is no benchmark {name!r}{where}; choose from {', '.join(known)}")
    if on_gpu and not _cuda():
        parser.exit(
            2, "torch finds no CUDA device on this machine, and these benchmarks need one; `make bench` does not\n"
        )
    heading = f"{machine()}{_accelerator(on_gpu)}, {datetime.now():%d %B %Y %H:%M}, commit {commit()}"
    print(heading, flush=True)
    rows = []
    for name in options.names or known:
        rows.append(run(name, options.device, options.folder))
        print(f"{name}: {rows[-1].error or f'ratio {rows[-1].ratio}'} ({rows[-1].seconds} s)", flush=True)
    stem = options.folder / ("speed_cuda" if on_gpu else "speed")
    text = table(rows, heading)
    write_text(stem.with_suffix(".md"), text)
    write_text(stem.with_suffix(".csv"), _as_csv(rows, heading))
    print(f"\n{text}\n{stem}.md, {stem}.csv")
    sys.exit(1 if any(row.error for row in rows) else 0)


def _as_csv(rows: Sequence[Row], heading: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*Row._fields, "run"])
    writer.writerows([*row, heading] for row in rows)
    return file.getvalue()


def _cuda() -> bool:
    import torch  # here, because this process does not need it for benchmarks on the CPU

    return torch.cuda.is_available()


def _accelerator(on_gpu: bool) -> str:
    if not on_gpu:
        return ""
    import torch

    return f", {torch.cuda.get_device_name()}"


if __name__ == "__main__":
    main()
