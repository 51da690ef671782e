"""How many images a second a training gets through."""

import time

UNCOUNTED_STEPS = 2
"""The first steps start processes that load images, take memory and choose algorithms."""


class Speed:
    """Counts images from the third step of this run on, all processes' together.

    What lies between those steps counts: loading, waiting for images, changes of epoch, checkpoints.
    """

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._steps = self._images = 0
        self._start = self._end = 0.0

    def step(self, images: int) -> None:
        """A step of so many images has come to its end."""
        self._steps, self._end = self._steps + 1, time.monotonic()
        if self._steps > UNCOUNTED_STEPS:
            self._images += images
        else:
            self._start = self._end

    @property
    def images_per_second(self) -> float | None:
        """None if there were no further steps."""
        return self._images / max(self._end - self._start, 1e-9) if self._images else None

    def __str__(self) -> str:
        """In words, for a progress bar and the log; empty if there is nothing to tell yet."""
        rate = self.images_per_second
        return "" if rate is None else f"{rate:.1f} images a second"
