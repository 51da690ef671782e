"""Progress of long work: a bar on a terminal, plain lines in the log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0
log = logging.getLogger(__name__)


class Progress:
    """Counts finished items, and shows the count."""

    def __init__(self, description: str, total: int, done: int = 0, unit: str = "images", shown: bool = True) -> None:
        """Start counting.

        Args:
            description: what is being done; at the start of the bar and of each line.
            total: number of items.
            done: items finished by an earlier run.
            unit: what an item is.
            shown: whether there is a bar (there is none in a training's further processes).
        """
        self.description, self.total, self.done, self.unit = description, total, done, unit
        self._already = done
        self._start = self._last_line = time.monotonic()
        self._bar = tqdm(
            desc=description,
            total=total,
            initial=done,
            unit=f" {unit}",
            leave=False,
            dynamic_ncols=True,
            disable=not (shown and sys.stderr.isatty()),
        )

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count ``items`` more; ``note`` (such as a loss) is shown next to the count."""
        self.done += items
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(items)
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._line(note)

    def close(self) -> None:
        """Remove the bar and write the last line."""
        self._bar.close()
        self._line("")

    def _line(self, note: str) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        speed = (self.done - self._already) / seconds
        left = f", {(self.total - self.done) / speed:.0f} s left" if speed > 0 and self.done < self.total else ""
        log.info(
            "%s: %d of %d %s, %.1f a second%s%s",
            *(self.description, self.done, self.total, self.unit, speed, left, f", {note}" if note else ""),
        )


def progress(iterable: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items of ``iterable`` and show how many are done.

    Args:
        iterable: the items.
        description: what is being done.
        total: their number, if ``iterable`` has no length.
    """
    counter = Progress(description, len(iterable) if total is None else total)  # type: ignore[arg-type]
    try:
        for item in iterable:
            yield item
            counter.advance()
    finally:
        counter.close()
