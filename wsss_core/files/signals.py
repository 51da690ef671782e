"""SIGTERM, SLURM's warning before it kills, and SIGINT: most jobs end at once, a training after its step."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from wsss_core.files.atomic import remove_unfinished_files

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPED_BY_SIGTERM = 128 + signal.SIGTERM
"""Exit status after SIGTERM, as a shell reports it: a failure, so that the job is tried again."""
_PATIENCE = 10.0
"""Seconds after a deferred signal in which further signals change nothing."""
log = logging.getLogger(__name__)


def end_at_signals() -> None:
    """From now on SIGTERM and SIGINT end this process at once, with a line in the log.

    Unfinished files are removed and worker processes are killed; nothing else is done. In particular no exception is
    raised, as libraries may be in the middle of anything, and some drop exceptions.
    """
    for number in SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    try:
        with suppress(Exception):  # the signal may have come while a line was written to the log
            log.warning("stopped by %s; the same command continues from here", signal.Signals(number).name)
        for worker in multiprocessing.active_children():
            worker.kill()
        remove_unfinished_files()
    finally:
        os._exit(128 + number)


def kill_worker_processes() -> None:
    """Kill the remaining worker processes of this process, at the end of a job.

    Python would send them SIGTERM, which those that load images ignore, and wait for them forever.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler raises an error where one was killed
    for worker in multiprocessing.active_children():
        worker.kill()


def ignore_signals() -> None:
    """From now on SIGTERM and SIGINT do nothing: the rest takes no time, or another process decides."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_deferred() -> Iterator[Callable[[], bool]]:
    """Delay the effect of SIGTERM and SIGINT until the end of the body.

    Another signal, ten seconds or more after the first one, ends the process at once: the body may wait for something
    that will not come. In other threads than the main one, which receive no signals, this does nothing.

    Yields:
        A function that says whether a signal has come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    first = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if came and time.monotonic() - first >= _PATIENCE:
            _end(number, frame)
        first = first if came else time.monotonic()
        came.append(number)

    handlers = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
