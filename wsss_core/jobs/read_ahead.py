"""One function on many items, in threads of this process, a few items ahead of the caller."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Source = TypeVar("Source")
Item = TypeVar("Item")


class ReadAhead(Generic[Source, Item]):
    """Calls ``function`` for sources by position; the caller asks for positions in ascending order.

    This is for reading: decoding an image (Pillow, NumPy) and reading a file release the interpreter's lock for most
    of the time, threads start at once, and results need no copy. Work that keeps a core busy for long, such as a dense
    CRF, belongs in the processes of :class:`wsss_core.jobs.image_pool.ImagePool`, which take a second to start and copy
    arguments and results. Torch's operations belong in neither, as torch has its own threads.

    Used in a ``with`` block; however the block ends, the threads have ended then::

        with ReadAhead(read_image, paths) as images:
            for image in images:  # or images(position), to skip some
                ...
    """

    def __init__(
        self, function: Callable[[Source], Item], sources: Sequence[Source], threads: int = 2, ahead: int = 4
    ) -> None:
        """Prepare; threads start with the first item.

        Args:
            function: called in several threads at once.
            sources: its arguments, in the order in which the items are wanted. Each is taken once, in the caller's
                thread, so a sequence may make them at that moment.
            threads: number of items that are computed at the same time.
            ahead: most items that are ready or in progress beyond the one that is asked for.

        Raises:
            ValueError: ``threads`` or ``ahead`` is below 1.
        """
        if min(threads, ahead) < 1:
            raise ValueError(f"reading ahead takes at least one thread and one item, not {threads} and {ahead}")
        self._function, self._sources = function, sources
        self._threads, self._ahead = threads, ahead
        self._under_way: dict[int, Future[Item]] = {}
        self._executor: ThreadPoolExecutor | None = None

    def __enter__(self) -> "ReadAhead[Source, Item]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._under_way.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def __call__(self, position: int) -> Item:
        """The item of the source at ``position``; the next ones are computed in the background.

        Skipped items are dropped. If whole stretches are skipped, such as those that an earlier run finished, only a
        few items are computed for nothing.

        Raises:
            Exception: what the function raised for this source.
        """
        for passed in [other for other in self._under_way if other < position]:
            self._under_way.pop(passed).cancel()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="read-ahead")
        for ahead in range(position, min(position + self._ahead + 1, len(self._sources))):
            if ahead not in self._under_way:
                self._under_way[ahead] = self._start(ahead, self._executor)
        return self._under_way.pop(position).result()

    def _start(self, position: int, executor: ThreadPoolExecutor) -> "Future[Item]":
        try:
            source = self._sources[position]
        except BaseException as error:  # raised when this item is asked for, so that those before it are unaffected
            failed: Future[Item] = Future()
            failed.set_exception(error)
            return failed
        return executor.submit(self._function, source)

    def __iter__(self) -> Iterator[Item]:
        """All items, in order."""
        for position in range(len(self._sources)):  # a source's StopIteration must not end the loop silently
            yield self(position)
