"""What each part is given, and how it goes on after a row that failed."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_check.findings import Row


@dataclass(frozen=True)
class Given:
    """What a part is given."""

    device: torch.device
    small: bool
    """Only show that everything runs: the figures say nothing."""
    threads: int
    """Cores of the machine."""
    folder: Path
    """For the part's own files; removed afterwards."""


def tried(what: str, look: Callable[[], Row]) -> Row:
    """The row, or one that says how looking failed: the next row is looked at nonetheless."""
    try:
        return look()
    except Exception as error:
        traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        return Row(what, fault=f"{type(error).__name__}: {first}")
