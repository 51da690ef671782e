"""Time, memory and load of the device while something runs on it."""

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
"""Milliseconds between two readings of the load; the driver takes its own means over a sixth of a second or more."""
LEAST_SECONDS = 2.0
"""For which something is repeated on a GPU: of less, readings of the load say little."""
ARITHMETICS = ("float32", "tf32", "bfloat16")
"""In which networks compute."""
GIB = 2**30


@dataclass
class Load:
    """What ``nvidia-smi`` says of one GPU."""

    readings: list[float] = field(default_factory=list)
    """Percent of a moment in which a kernel ran."""
    fault: str = ""
    """Why there is no reading where there should be some."""

    @property
    def mean(self) -> float | None:
        """Between the first and the last moment at which the device was busy; None if that is not known."""
        busy = [number for number, reading in enumerate(self.readings) if reading > 0]
        return statistics.fmean(self.readings[busy[0] : busy[-1] + 1]) if busy else None


@contextmanager
def load_of(device: torch.device) -> Iterator[Load]:
    """Watch the device's load by a process beside this one; it is known when the block has ended."""
    load, program = Load(), shutil.which("nvidia-smi")
    if device.type != "cuda" or program is None:
        yield load
        return
    card = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    asked = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--id={card}", f"--loop-ms={EVERY}"]
    # To a terminal programs write line by line; to a pipe or a file they may keep lines back, and lose them at the end.
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
    """What a program that has ended wrote to a terminal."""
    parts = []
    with suppress(OSError):  # at the end
        while part := os.read(terminal, 65536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace")


@dataclass(frozen=True)
class Measured:
    """What something took."""

    seconds: float
    """Of one run, in the mean."""
    gib: float | None
    """That torch held of the device's memory at most; None on a CPU."""
    busy: float | None
    """Percent of the time in which a kernel ran; None if it is not known."""
    fault: str = ""
    """Why it is not known, if it should be."""

    def row(self, what: str, images: float, seconds: float | None = None, **others: float | str | None) -> Row:
        """As a row of a table.

        Args:
            what: was run.
            images: that one run got through.
            seconds: that they took, if it is not the whole run.
            others: further figures by column.
        """
        speed = images / (self.seconds if seconds is None else seconds)
        figures = {"images/s": speed, "seconds an image": 1 / speed, "GiB": self.gib, "busy, %": self.busy}
        return Row(what, {**figures, **{name.replace("_", " "): value for name, value in others.items()}}, self.fault)


def measured(run: Callable[[], object], device: torch.device, first: Callable[[], object] | None = None) -> Measured:
    """Run something until it has taken :data:`LEAST_SECONDS`, on a CPU once.

    Args:
        run: what is measured; the device may still be at work when it returns.
        device: where it computes.
        first: is run before, and does not count; None for ``run`` itself.
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
