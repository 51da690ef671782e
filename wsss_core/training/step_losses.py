"""The losses of a training's steps on their way from the device."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wsss_core.training.distributed import average

STEPS_UNREAD = 10
"""Steps whose losses a GPU keeps until they are read: who reads waits for the step to end, and then the GPU for the
launch of the next one."""


class StepLosses:
    """Keeps the losses of a few steps, and reads them together, in their order."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is kept yet.

        Args:
            device: where losses are computed; on a CPU they are there, and each step's are read after it.
        """
        self._together = STEPS_UNREAD if device.type == "cuda" else 1
        self._unread: list[Mapping[str, Tensor]] = []
        self.told = ""
        """The last loss that was read, in words; empty before the first."""

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Keep the losses of a step, 0-dimensional and float64, by name."""
        self._unread.append(losses)

    def read(self, at_once: bool) -> list[dict[str, float]]:
        """The losses of the steps that were not read yet, means over the processes, all of which have to ask.

        Args:
            at_once: also if they are fewer than are read together; then none stays unread.

        Returns:
            One for each step, in order; nothing if it is too early.
        """
        if not self._unread or (len(self._unread) < self._together and not at_once):
            return []
        numbers = torch.stack([value for losses in self._unread for value in losses.values()]).tolist()
        means = iter(average(numbers))
        read = [{name: next(means) for name in losses} for losses in self._unread]
        self._unread.clear()
        self.told = f"loss {read[-1]['loss']:.4f}"
        return read
