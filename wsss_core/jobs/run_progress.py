"""One line about a whole run, instead of Snakemake's messages: what runs, how far it is, how much time is left.

The Snakefile asks for it if ``--quiet rules`` is given. On a terminal the line overwrites itself; elsewhere, as in a
file, a new line comes at most every half minute.
"""

import logging
import re
import shutil
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any, TextIO

from wsss_core.config.stages import DEFAULT_RESOURCES

SECONDS_BETWEEN_LINES = 30.0
_SHARE_BEFORE_A_GUESS = 0.1
_VARIANT = re.compile(r"(?:^|/)(?P<variant>[A-Za-z0-9_.-]+)-[0-9a-f]{10}(?:/|$)")


def show_one_line(logger: logging.Logger, stats: Mapping[str, int], stream: TextIO | None = None) -> "RunProgress":
    """Let Snakemake's ``logger`` write only warnings and errors, and one line of progress.

    Args:
        logger: ``snakemake.logging.logger``.
        stats: the number of jobs of each rule, and their sum under ``total``, as Snakemake counts them.
        stream: where the line goes; by default the standard error stream.
    """
    line = RunProgress(stats, sys.stderr if stream is None else stream)
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(_is_for_people)
    logger.handlers.insert(0, line)  # before the others, so that it is cleared before they write
    return line


def _is_for_people(record: logging.LogRecord) -> bool:
    """Whether Snakemake's message is more than progress."""
    return record.levelno >= logging.WARNING or record.getMessage().startswith("Nothing to be done")


class RunProgress(logging.Handler):
    """Follows Snakemake's events and keeps the line up to date."""

    def __init__(self, stats: Mapping[str, int], stream: TextIO) -> None:
        """Start with the jobs of each rule in ``stats``; nothing is written before the first event."""
        super().__init__()
        self.stream, self.on_terminal = stream, stream.isatty()
        self.jobs: dict[int, tuple[str, str, float]] = {}
        """For each running job its rule, its name for people, and its start (seconds)."""
        self.left = Counter({rule: count for rule, count in stats.items() if rule != "total"})
        """Unfinished jobs of each rule."""
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        """How long the jobs of each rule took."""
        self.total, self.done = sum(self.left.values()), 0
        self.start = self.last_line = time.monotonic()
        self._is_drawn = False
        self._ended = threading.Event()
        if self.on_terminal:
            threading.Thread(target=self._tick, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Handle one event."""
        event = str(getattr(record, "event", None))
        known = getattr(self, f"_{event}", None) if event in _EVENTS else None
        if known is not None:
            known(record)
        if _is_for_people(record):
            self._clear()
        elif known is not None:
            self._draw()

    def close(self) -> None:
        """Remove the line."""
        self._ended.set()
        self._clear()
        super().close()

    def text(self) -> str:
        """The line: ``31 of 91 jobs, 2 min 10 s, about 5 min left: train segmenter (deeplab), predict (deeplab)``."""
        left = self._seconds_left()
        guess = "" if left is None else f", about {_duration(left)} left"
        running = ", ".join(sorted({name for _, name, _ in self.jobs.values()}))
        elapsed = _duration(time.monotonic() - self.start)
        return f"{self.done} of {self.total} jobs, {elapsed}{guess}" + (f": {running}" if running else "")

    def _job_info(self, record: Any) -> None:
        rule = record.rule_name
        found = _VARIANT.search(str(next(iter(record.output or []), "")))
        name = rule.replace("_", " ") + (f" ({found['variant']})" if found else "")
        self.jobs[record.jobid] = (rule, name, time.monotonic())

    def _job_finished(self, record: Any) -> None:
        job = self.jobs.pop(record.job_id, None)
        if job is not None:
            self.seconds[job[0]].append(time.monotonic() - job[2])
            self.left[job[0]] -= 1
            self.done += 1

    def _job_error(self, record: Any) -> None:
        self.jobs.pop(record.jobid, None)

    def _seconds_left(self) -> float | None:
        """An estimate from finished jobs, with as many jobs at once as so far; None at first.

        A job is expected to take as long as those of its rule; before any of these has finished, as long as those that
        run a network if it runs one too, or as the others if not.
        """
        if self.done < max(2, _SHARE_BEFORE_A_GUESS * self.total) or self.done >= self.total:
            return None
        every = [seconds for times in self.seconds.values() for seconds in times]
        alike: defaultdict[bool, list[float]] = defaultdict(list)
        for rule, times in self.seconds.items():
            alike[_runs_a_network(rule)] += times
        work = sum(
            count * fmean(self.seconds.get(rule) or alike.get(_runs_a_network(rule)) or every)
            for rule, count in self.left.items()
        )
        now = time.monotonic()
        under_way = [now - begin for _, _, begin in self.jobs.values()]
        at_once = max((sum(every) + sum(under_way)) / max(now - self.start, 1e-9), 1.0)
        return max(work - sum(under_way), 0.0) / at_once

    def _tick(self) -> None:
        """Keep the times up to date while nothing happens."""
        while not self._ended.wait(1.0):
            if self._is_drawn:
                self._draw()

    def _draw(self) -> None:
        if self._ended.is_set():
            return
        if self.on_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + self.text()[:width].ljust(width) + "\r")
            self._is_drawn = True
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self.last_line = time.monotonic()
            self._write(self.text() + "\n")

    def _clear(self) -> None:
        if self._is_drawn:
            self._write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._is_drawn = False

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone, but the run continues
            self._ended.set()


def _runs_a_network(rule: str) -> bool:
    """Whether the rule's jobs ask for a GPU where there is one."""
    return rule in DEFAULT_RESOURCES and DEFAULT_RESOURCES[rule].gpu > 0


_EVENTS = frozenset({"job_info", "job_finished", "job_error"})


def _duration(seconds: float) -> str:
    """``45 s``, ``2 min 10 s``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    return f"{whole // 3600} h {whole % 3600 // 60} min"
