"""Measures time, memory and load of the device."""

import gc
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import torch

from benchmarks.gpu_check.findings import Row
from benchmarks.measuring import wait_for

EVERY = 100
"""Milliseconds between two readings of the load; the driver itself averages over a sixth of a second or more."""
LEAST_SECONDS = 2.0
"""On a GPU, runs are repeated for at least this time, because shorter runs have too few readings of the load."""
ARITHMETICS = ("float32", "tf32", "bfloat16")
"""The arithmetics of networks."""
GIB = 2**30


@dataclass
class Load:
    """The load of one GPU, from ``nvidia-smi``."""

    readings: list[float] = field(default_factory=list)
    """Percentage of the time in which a kernel ran, for each interval."""
    fault: str = ""
    """Why there are no readings, if there should be some."""

    @property
    def mean(self) -> float | None:
        """The mean load between the first and the last reading above 0; None if not known."""
        busy = [number for number, reading in enumerate(self.readings) if reading > 0]
        return statistics.fmean(self.readings[busy[0] : busy[-1] + 1]) if busy else None


@contextmanager
def load_of(device: torch.device) -> Iterator[Load]:
    """Measure the device's load by another process; the result is complete at the end of the ``with`` block."""
    load, program = Load(), shutil.which("nvidia-smi")
    if device.type != "cuda" or program is None:
        yield load
        return
    card = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    asked = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--id={card}", f"--loop-ms={EVERY}"]
    # A terminal gets every line at once; output to a pipe or a file may be buffered, and lost at the end.
    ours, theirs = os.openpty()
    watcher = subprocess.Popen([program, *asked], stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        yield load
    finally:
        watcher.terminate()
        watcher.wait()
        load.readings += [float(line) for line in _left_in(ours).split() if line.replace(".", "", 1).isdigit()]
        os.close(ours)
        if not load.readings:
            load.fault = f"{program} gave no reading of the load"


def _left_in(terminal: int) -> str:
    """The output to a terminal of a program that has ended."""
    parts = []
    with suppress(OSError):  # at the end
        while part := os.read(terminal, 65536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


@dataclass(frozen=True)
class Measured:
    """Time, memory and load of a function."""

    seconds: float
    """Mean of one run."""
    gib: float | None
    """Largest amount of the device's memory that torch reserved; None on a CPU."""
    busy: float | None
    """Percentage of the time in which a kernel ran; None if not known."""
    fault: str = ""
    """Why it is not known, if it should be."""

    def row(self, what: str, images: float, seconds: float | None = None, **others: float | str | None) -> Row:
        """A row of a table.

        Args:
            what: the name of the row.
            images: number of images in one run.
            seconds: time for these images, if not the whole run.
            others: additional figures by column.
        """
        speed = images / (self.seconds if seconds is None else seconds)
        figures = {"images/s": speed, "seconds per image": 1 / speed, "GiB": self.gib, "busy, %": self.busy}
        return Row(what, {**figures, **{name.replace("_", " "): value for name, value in others.items()}}, self.fault)


def measured(run: Callable[[], object], device: torch.device, first: Callable[[], object] | None = None) -> Measured:
    """Measure a function, repeated for :data:`LEAST_SECONDS`, or once on a CPU.

    Args:
        run: the function; the device may still compute when it returns.
        device: where it computes.
        first: runs before, and is not measured; None for ``run`` itself.
    """
    (first or run)()
    wait_for(device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    with load_of(device) as load:
        while not times or (device.type == "cuda" and sum(times) < LEAST_SECONDS):
            start = time.perf_counter()
            run()
            wait_for(device)
            times.append(time.perf_counter() - start)
    gib = torch.cuda.max_memory_reserved(device) / GIB if device.type == "cuda" else None
    return Measured(statistics.fmean(times), gib, load.mean, load.fault)
