"""Many things computed side by side, as many at once as the device turns out to have memory for."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from wsss_core.jobs.gpu_memory import is_full

Result = TypeVar("Result")
log = logging.getLogger(__name__)
_too_much: dict[str, int] = {}
"""By what is computed, the least that the memory had no room for in this process: number times size."""


def in_pieces(compute: Callable[[slice], Result], number: int, at_once: int, size: int, what: str) -> list[Result]:
    """Compute things in pieces, one piece after the other; a piece that the GPU has no memory for in two.

    What was too much once is not tried again by this process. Results are those of the whole, but for rounding, where
    the device rounds otherwise with fewer side by side.

    Args:
        compute: of the things of a slice; it may be called again for a part of one.
        number: of things.
        at_once: how many a piece holds, if there is memory.
        size: of one thing, in whatever unit memory grows with.
        what: the things, for the log (``images``).

    Returns:
        What ``compute`` gave for each piece, in order.

    Raises:
        RuntimeError: torch's, if there is no memory for one thing alone.
    """
    results: list[Result] = []
    done = 0
    while done < number:
        most = min(at_once, _too_much[what] // 2 // size) if what in _too_much else at_once
        piece = slice(done, min(done + max(1, most), number))
        try:
            results.append(compute(piece))
            done = piece.stop
            continue
        except RuntimeError as error:
            if not is_full(error) or piece.stop - piece.start == 1:
                raise
        # Not within `except`: until its end, the error holds what the piece had taken.
        torch.cuda.empty_cache()
        tried = piece.stop - piece.start
        _too_much[what] = tried * size
        log.info("the GPU has no memory for %d %s at once: going on with %d", tried, what, tried // 2)
    return results
