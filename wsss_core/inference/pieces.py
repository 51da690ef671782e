"""Computes many things together, as many at once as fit into the device's memory."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from wsss_core.jobs.gpu_memory import is_full

Result = TypeVar("Result")
log = logging.getLogger(__name__)
_too_much: dict[str, int] = {}
"""For each kind of thing, the smallest amount (number times size) that did not fit into memory in this process."""


def in_pieces(compute: Callable[[slice], Result], number: int, at_once: int, size: int, what: str) -> list[Result]:
    """Compute things in pieces, one after the other; a piece that does not fit into GPU memory is split in two.

    An amount that did not fit once is not tried again by this process. The results equal those of one piece, except for
    rounding, which may depend on how many things are computed together.

    Args:
        compute: computes the things of a slice; it may be called again for a part of it.
        number: of things.
        at_once: how many things make a piece, if there is memory.
        size: of one thing, in any unit proportional to memory.
        what: the things, for the log (``images``).

    Returns:
        The results of ``compute`` for the pieces, in order.

    Raises:
        RuntimeError: torch's, if there is not enough memory for one thing.
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
        # Not within `except`: until its end, the error keeps the memory of the piece.
        torch.cuda.empty_cache()
        tried = piece.stop - piece.start
        _too_much[what] = tried * size
        log.info("the GPU has no memory for %d %s at once: continuing with %d", tried, what, tried // 2)
    return results
