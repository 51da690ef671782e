"""One function on many images, in several processes, a few images ahead of the caller."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

from wsss_core.errors import UserError
from wsss_core.files.signals import ignore_signals
from wsss_core.jobs.process_limits import starting_processes

Result = TypeVar("Result")
AHEAD = 2
"""Images in progress per process: one that is computed, and one that waits."""
QUICK_IMAGES = 1000
"""Images that one process can decode while another process starts."""
SLOW_IMAGES = 10
"""Images that one process can decode, shrink and write in the same time."""
_FEWER = "lower this rule's 'threads' in 'resources' (1 does without further processes)"
_given: list[Callable[..., Any]] = []
"""In a worker process: the function that it calls."""


class ImagePool(Generic[Result]):
    """Calls ``function`` for images by position; the caller asks for positions in ascending order."""

    def __init__(
        self,
        function: Callable[..., Result],
        arguments: Callable[[int], tuple[Any, ...]],
        image_ids: Sequence[str],
        threads: int,
    ) -> None:
        """Prepare the pool; processes start with the first call.

        Args:
            function: a function of a module (not a closure). Worker processes receive it once, at their start, so a
                ``partial`` of it may contain large values, or an open store of class maps.
            arguments: gives the function's arguments for the image at a position. They are sent for every image, so
                names of files to read are better than their content.
            image_ids: the images' names, for error messages.
            threads: number of worker processes; with 1 everything runs in this process.
        """
        self._function, self._arguments, self._image_ids = function, arguments, image_ids
        self._threads = min(threads, len(image_ids))
        self._under_way: dict[int, Future[Result]] = {}
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "ImagePool[Result]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def __call__(self, position: int) -> Result:
        """The function's result for the image at ``position``.

        Raises:
            UserError: the worker process of this image died, also in a second attempt; or the function raised it.
        """
        if self._threads <= 1:
            return self._function(*self._arguments(position))
        try:
            for passed in [key for key in self._under_way if key < position]:
                del self._under_way[passed]  # skipped, as its result exists from an earlier run
            end = min(position + AHEAD * self._threads, len(self._image_ids))
            for ahead in range(position, end):
                if ahead not in self._under_way:
                    self._under_way[ahead] = self._submit(ahead)
            return self._under_way.pop(position).result()
        except BrokenProcessPool:
            # A dead worker breaks the whole pool. Run this image in its own process, to see whether it is the cause;
            # the next call starts a new pool for the others.
            self._stop()
            return self._call_alone(position)

    def _submit(self, position: int) -> "Future[Result]":
        if self._executor is None:
            self._executor = self._make_executor(self._threads)
        try:
            arguments = self._arguments(position)
        except BaseException as error:  # raised when this image is asked for, so that those before it are unaffected
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return failed
        with _without_main_file(), starting_processes(_FEWER):
            return self._executor.submit(_call_given_function, *arguments)

    def _call_alone(self, position: int) -> Result:
        with self._make_executor(1) as executor:
            try:
                with _without_main_file(), starting_processes(_FEWER):
                    future = executor.submit(_call_given_function, *self._arguments(position))
                result: Result = future.result()
                return result
            except BrokenProcessPool as error:
                raise UserError(
                    f"image {self._image_ids[position]}: the process that worked on it died; the usual "
                    "cause is too little memory: fewer 'threads' or more 'mem_mb' for this rule helps"
                ) from error

    def _make_executor(self, processes: int) -> ProcessPoolExecutor:
        # Not fork: this process has torch's threads and open HDF5 files, which do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with starting_processes(_FEWER):
            return ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(self._function,))

    def _stop(self) -> None:
        self._under_way.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


def processes_to_decode(images: int, threads: int, shrink: bool = False) -> int:
    """How many of ``threads`` processes are worth starting for images that are decoded, and perhaps shrunk."""
    return max(1, min(threads, images // (SLOW_IMAGES if shrink else QUICK_IMAGES)))


def _begin(function: Callable[..., Any]) -> None:
    """Prepare a worker process: keep the function, and end when the process that started it ends."""
    ignore_signals()  # a terminal and SLURM signal all processes; the job ends its own workers
    threading.Thread(target=_end_with_the_job, daemon=True).start()
    _given.append(function)


def _end_with_the_job() -> None:
    job = multiprocessing.parent_process()
    assert job is not None
    job.join()
    os._exit(1)


def _call_given_function(*arguments: Any) -> Any:
    return _given[0](*arguments)


@contextmanager
def _without_main_file() -> Iterator[None]:
    """Let processes start without running the main script again.

    A spawned process first imports the main script of its parent, or the module that ``python -m`` runs. Snakemake's
    scripts are not guarded by ``__name__``: each worker would start the whole job again. Workers need nothing from
    there, as they find the function by its module's name.
    """
    main = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)
