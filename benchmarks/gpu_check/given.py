"""The input of each part, and how it continues after a row that failed."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_check.findings import Row


@dataclass(frozen=True)
class Given:
    """The input of a part."""

    device: torch.device
    small: bool
    """Use small sizes to show that everything runs; the figures mean nothing."""
    threads: int
    """Number of threads."""
    folder: Path
    """For the part's own files; deleted afterwards."""


def tried(what: str, look: Callable[[], Row]) -> Row:
    """The row from ``look``, or a row with its error, so that the part can continue."""
    try:
        return look()
    except Exception as error:
        traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        return Row(what, fault=f"{type(error).__name__}: {first}")
