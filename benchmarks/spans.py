"""When which part of a job ran, and in which thread: functions are exchanged for ones that also note the time.

Worker processes import this module, so it does without torch.
"""

import functools
import json
import os
import pkgutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

SPANS_FILE = "BENCHMARK_SPANS"
"""The environment variable that tells worker processes where to note their spans."""


class Span(NamedTuple):
    """Something that was done."""

    kind: str
    """What."""
    place: str
    """The thread, the process, or the device."""
    start: float
    """Seconds of the machine's monotonic clock."""
    end: float


@contextmanager
def recorded(parts: Mapping[str, Sequence[str]], network: str, in_workers: Mapping[str, str]) -> Iterator[list[Span]]:
    """Note what runs in the body.

    Args:
        parts: by kind, dotted names of functions and methods that are called in threads of this process.
        network: the kind of what computes on a GPU if there is one: then the device's own times count.
        in_workers: dotted names of functions that worker processes call, and the names in this module of what takes
            their place.

    Yields:
        The spans; complete after the body.
    """
    spans: list[Span] = []
    events: list[tuple[str, Any, Any]] = []
    with ExitStack() as stack:
        for kind, names in parts.items():
            for name in names:
                timed = _timed(pkgutil.resolve_name(name), kind, spans, events if kind == network else None)
                stack.enter_context(mock.patch(name, timed))
        noted = stack.enter_context(_spans_of_workers(spans))
        for name, replacement in in_workers.items():
            stack.enter_context(mock.patch(name, globals()[replacement]))
        stack.enter_context(mock.patch.dict(os.environ, {SPANS_FILE: str(noted)}))
        yield spans
    spans += _on_the_device(events)


def _timed(function: Callable[..., Any], kind: str, spans: list[Span], events: list[Any] | None) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        cuda = sys.modules["torch"].cuda if events is not None else None
        if events is not None and cuda is not None and cuda.is_initialized():
            start, end = (cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            result = function(*arguments, **named)
            end.record()
            events.append((kind, start, end))
            return result
        begun = time.monotonic()
        try:
            return function(*arguments, **named)
        finally:
            spans.append(Span(kind, threading.current_thread().name, begun, time.monotonic()))

    return timed


def _on_the_device(events: Sequence[tuple[str, Any, Any]]) -> list[Span]:
    """Spans of what a GPU did between pairs of events, which know no clock but the distance to each other."""
    if not events:
        return []
    cuda = sys.modules["torch"].cuda
    now = cuda.Event(enable_timing=True)
    cuda.synchronize()
    now.record()
    cuda.synchronize()
    clock = time.monotonic()
    return [
        Span(kind, "GPU", *(clock - event.elapsed_time(now) / 1000 for event in (start, end)))
        for kind, start, end in events
    ]


@contextmanager
def _spans_of_workers(spans: list[Span]) -> Iterator[Path]:
    """A file for the spans of worker processes, which are added at the end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spans"
        yield file
        if file.exists():
            spans += [Span(*json.loads(line)) for line in file.read_text().splitlines()]


def refined_labels(image: np.ndarray, probabilities: np.ndarray, crf: Any) -> np.ndarray:
    """``prediction_labels.refined_labels``, noted, in a worker process or in this one."""
    from wsss_core.segmentation.prediction_labels import refined_labels as function

    begun = time.monotonic()
    result = function(image, probabilities, crf)
    line = json.dumps(Span("CRF", f"process {os.getpid()}", begun, time.monotonic()))
    with open(os.environ[SPANS_FILE], "a") as file:
        file.write(line + "\n")
    return result
