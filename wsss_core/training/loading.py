"""Loads samples in processes, with clear errors and without leaving processes behind."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from wsss_core.errors import UserError
from wsss_core.files.signals import ignore_signals
from wsss_core.jobs.process_limits import kill, lacking_in_words, starting_processes

_FEWER = "lower 'runtime.workers' (0 loads in the training's own process)"
_PATIENCE = 5.0
"""Seconds that processes have to finish their current batch when no more are needed."""
log = logging.getLogger(__name__)


@contextmanager
def loader_of(
    samples: "Dataset[Any]", workers: int, device: torch.device, **batches: Any
) -> "Iterator[DataLoader[Any]]":
    """A loader of batches for the body; its processes end with the body, even after an error.

    A :class:`UserError` in a process is raised here unchanged. A process that died and too little shared memory are
    reported as such errors, too.

    Args:
        samples: the samples to load.
        workers: loading processes; 0 loads in this process.
        device: where the batches go: for a GPU they are put into pinned memory.
        batches: ``batch_size`` or ``batch_sampler``, as in torch's ``DataLoader``.

    Yields:
        The loader. Every pass over it uses the same processes.

    Raises:
        UserError: see above.
    """
    others = multiprocessing.active_children()
    loader = _Loader(
        _ErrorsAsSamples(samples),
        num_workers=workers,
        collate_fn=_collated,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_begin,
        # Its own generator, because when it draws from it depends on the number of workers.
        generator=torch.Generator(),
        **batches,
    )
    try:
        yield loader
    except (RuntimeError, OSError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise UserError(reason) from error
    finally:
        _end(loader, others)


class _Loader(DataLoader[Any]):
    """Raises the errors of samples unchanged."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        with starting_processes(_FEWER):
            batches = super().__iter__()
        for batch in batches:
            if isinstance(batch, _Failed):
                raise batch.error
            yield batch


@dataclass
class _Failed:
    """Stands for a batch that could not be loaded."""

    error: UserError


class _ErrorsAsSamples(Dataset[Any]):
    """Loads lists of samples; returns a ``UserError``, because torch would add the process's traceback to it."""

    def __init__(self, samples: "Dataset[Any]") -> None:
        self.samples = samples

    def __len__(self) -> int:
        assert isinstance(self.samples, Sized)
        return len(self.samples)

    def __getitems__(self, keys: Sequence[Any]) -> "list[Any] | _Failed":
        try:
            return [self.samples[key] for key in keys]
        except UserError as error:
            return _Failed(error)


def _collated(samples: "list[Any] | _Failed") -> Any:
    return samples if isinstance(samples, _Failed) else default_collate(samples)


def _reason(error: Exception) -> str | None:
    """Why loading processes failed, if the cause is the machine."""
    if lacking := lacking_in_words(error):
        return f"a loaded image cannot be handed over: {lacking}, or {_FEWER}"
    text = str(error)
    died = "DataLoader worker" in text and ("exited unexpectedly" in text or "is killed by signal" in text)
    if died or isinstance(error, ConnectionError):  # the latter: while it handed over a batch
        return (
            f"a process that loads images died ({text.splitlines()[0].strip()}); if it said nothing above, the usual "
            f"cause is too little memory: more 'mem_mb' helps, or {_FEWER}"
        )
    return None


def _begin(worker: int) -> None:
    """Prepare a process that loads samples."""
    del worker
    ignore_signals()  # SLURM signals all processes of a job, but the training has to finish its step
    Queue._on_queue_feeder_error = staticmethod(_end_process)  # type: ignore[attr-defined]


def _end_process(error: Exception, batch: Any) -> None:
    """End this process, because a batch could not be handed over: Python would drop it, and the training would hang."""
    del batch
    log.error("%s", _reason(error) or f"a loaded image cannot be handed over: {error!r}")
    os._exit(1)


def _end(loader: "DataLoader[Any]", others: Sequence[BaseProcess]) -> None:
    """End a loader's processes: an exception that references the loader would keep them, and they ignore SIGTERM."""
    children = [child for child in multiprocessing.active_children() if child not in others]
    iterator = loader._iterator
    # Another loader may have started since then. Only a loader that failed to start does not know its own processes.
    workers = children if iterator is None else [w for w in iterator._workers if w in children]  # type: ignore[attr-defined]
    if not workers:
        return
    impatient = threading.Timer(_PATIENCE, kill, [workers])
    with _deaths_unnoticed():
        impatient.start()
        try:
            if iterator is not None:
                iterator._shutdown_workers()  # type: ignore[attr-defined]
        finally:
            impatient.cancel()
            kill(workers)


@contextmanager
def _deaths_unnoticed() -> Iterator[None]:
    """Within the body, torch does not raise an error for a process that dies."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)
