"""Measures how many images a training processes per second."""

import time

UNCOUNTED_STEPS = 2
"""The first steps start processes that load images, take memory and choose algorithms."""


class Speed:
    """Counts the images of all processes, from the third step of this run.

    The time between steps counts, too: loading, waiting for images, changes of epoch, checkpoints.
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self._steps = self._images = 0
        self._start = self._end = 0.0

    def step(self, images: int) -> None:
        """Count a finished step of ``images`` images."""
        self._steps, self._end = self._steps + 1, time.monotonic()
        if self._steps > UNCOUNTED_STEPS:
            self._images += images
        else:
            self._start = self._end

    @property
    def images_per_second(self) -> float | None:
        """The speed; None before the third step."""
        return self._images / max(self._end - self._start, 1e-9) if self._images else None

    def __str__(self) -> str:
        """In words, for the progress bar and the log; empty before the third step."""
        rate = self.images_per_second
        return "" if rate is None else f"{rate:.1f} images a second"
