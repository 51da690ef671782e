"""Common functions for the tables of benchmarks."""

import csv
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path


def rows_of(path: str) -> list[dict[str, str]]:
    """The rows of a CSV file as dictionaries by column."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def machine() -> str:
    """The number of cores and the processor, for the heading of a report."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores ({name})"


def spread(values: Sequence[float], sign: str = "", digits: int = 1) -> str:
    """Mean and standard deviation; with ``sign="+"``, positive means also have a sign."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.{digits}f}{deviation}"
