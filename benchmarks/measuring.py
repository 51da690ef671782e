"""Common functions of benchmarks: time, memory, the first and the last line of the output."""

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from benchmarks.tables import machine

Result = TypeVar("Result")
PROCESS = Path("/proc/self")
MEBIBYTE = 2**20


def heading(threads: int, device: torch.device | None = None) -> str:
    """The first line: the machine, its load, and the used threads; a ratio is less reliable on a busy machine."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    accelerator = f", {torch.cuda.get_device_name(device)}" if device is not None and device.type == "cuda" else ""
    return f"machine: {machine()}{load}{accelerator}; torch {torch.__version__}, {threads} of {os.cpu_count()} threads"


class Share(NamedTuple):
    """The use of the processor during a measurement."""

    own: float
    """Mean number of cores that this process and its finished child processes used."""
    others: float | None
    """Mean number of cores that other processes used; None if the kernel does not count them (not Linux)."""


def processor_shares(function: Callable[[], Result]) -> tuple[Result, float, Share]:
    """A call's result, its wall time, and the use of the processor, which shows whether the machine was busy."""
    start, own, busy = time.perf_counter(), _own_seconds(), _busy_seconds()
    result = function()
    wall, used, after = time.perf_counter() - start, _own_seconds() - own, _busy_seconds()
    others = None if busy is None or after is None else max(0.0, (after - busy - used) / wall)
    return result, wall, Share(used / wall, others)


def _own_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _busy_seconds() -> float | None:
    """Busy seconds of all cores since the machine started: user, nice, system, interrupts."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return None
    return (sum(fields[:3]) + sum(fields[5:7])) / os.sysconf("SC_CLK_TCK")


def last_line(ratio: float, deviation: float) -> str:
    """The last line of a benchmark's output, for programs."""
    return f"ratio={ratio:.4g} deviation={deviation:.3g}"


def seconds(function: Callable[[], Result], device: torch.device | None = None) -> tuple[Result, float]:
    """A call's result and its wall time, until the device has finished."""
    wait_for(device)
    start = time.perf_counter()
    result = function()
    wait_for(device)
    return result, time.perf_counter() - start


def median_seconds(
    function: Callable[[], Result], repeats: int, device: torch.device | None = None
) -> tuple[Result, float]:
    """The last result of several calls and the median of their times, after one call that is not counted."""
    result = function()
    times = []
    for _ in range(repeats):
        result, duration = seconds(function, device)
        times.append(duration)
    return result, statistics.median(times)


def matrix_product_flops(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of a large matrix product: the practical peak of the device."""
    side = 8192 if device.type == "cuda" else 2048
    matrix = torch.rand(side, side, device=device, dtype=dtype)
    _, duration = median_seconds(lambda: matrix @ matrix, 5, device)
    return 2 * side**3 / duration


def wait_for(device: torch.device | None) -> None:
    """Wait until the device has finished."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(function: Callable[[], object], device: torch.device | None = None) -> int | None:
    """The peak memory of a call, beyond the memory in use before it.

    On the CPU this uses the kernel's count of the process's resident pages, which includes torch's and NumPy's memory,
    but not the reuse of freed memory that the process has kept: so call it in a fresh process.

    Returns:
        Bytes; None if the kernel has no count that can be reset (not Linux).
    """
    gc.collect()
    if device is not None and device.type == "cuda":
        wait_for(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        wait_for(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        (PROCESS / "clear_refs").write_text("5")  # resets the peak to the current value
    except OSError:
        return None
    before = _resident("VmRSS")
    function()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Set the number of torch's threads inside a ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
