"""Reads the losses of a training's steps from the device, several at a time."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wsss_core.training.distributed import average

STEPS_UNREAD = 10
"""On a GPU, the losses of this many steps are read together: reading waits for the step to end, and then the GPU waits
for the next one."""


class StepLosses:
    """Keeps the losses of a few steps, and reads them together, in their order."""

    def __init__(self, device: torch.device) -> None:
        """Keep nothing yet.

        Args:
            device: where losses are computed; on a CPU, each step's are read at once.
        """
        self._together = STEPS_UNREAD if device.type == "cuda" else 1
        self._unread: list[Mapping[str, Tensor]] = []
        self.last = ""
        """The last loss that was read, in words; empty before the first."""

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Keep the losses of a step, 0-dimensional and float64, by name."""
        self._unread.append(losses)

    def read(self, at_once: bool) -> list[dict[str, float]]:
        """The losses of all unread steps, averaged over the processes, which all have to call this.

        Args:
            at_once: read even if they are fewer than are usually read together.

        Returns:
            The losses of each step, in order; empty if it is too early.
        """
        if not self._unread or (len(self._unread) < self._together and not at_once):
            return []
        numbers = torch.stack([value for losses in self._unread for value in losses.values()]).tolist()
        means = iter(average(numbers))
        read = [{name: next(means) for name in losses} for losses in self._unread]
        self._unread.clear()
        self.last = f"loss {read[-1]['loss']:.4f}"
        return read
