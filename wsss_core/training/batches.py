"""Chooses the images of each training step, their order and their random changes."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset

Batch = Any
BatchSize = Callable[[int], int]
"""The number of images in a step of an epoch."""
Order = Callable[[torch.Generator], list[int]]
"""Draws the samples of an epoch in their order, as many as there are samples. A sample may be drawn several times: with
N samples, the r-th repetition (from 0) of sample i has the number r * N + i, and its own random changes."""


class Samples(Protocol):
    """The training samples; random changes use torch's global generator."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


def mix_seed(*numbers: int) -> int:
    """A 63-bit seed from several numbers; different tuples give unrelated seeds."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 % 2**64
        state ^= state >> 31
    return state >> 1


class SeededSamples(Dataset[Batch]):
    """Seeds each sample by (seed, epoch, index), so that workers and processes make no difference."""

    def __init__(self, samples: Samples, seed: int) -> None:
        """Wrap ``samples``."""
        self.samples, self.seed = samples, seed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """The sample with an epoch and an index; larger indices are repetitions (see ``Order``)."""
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            # Only the CPU's generator: torch.manual_seed would also restart the device's, but only if samples are
            # loaded in this process.
            torch.default_generator.manual_seed(mix_seed(self.seed, epoch, index))
            return self.samples[index % len(self.samples)]


class EpochBatches:
    """Yields this process's share of the batches of one epoch, as lists of (epoch, index).

    A step may be computed in parts, one after the other. Each process has its share of every part, so that the images
    of a part do not depend on the number of processes.
    """

    def __init__(
        self,
        samples: int,
        batch_size: BatchSize,
        seed: int,
        process: int = 0,
        processes: int = 1,
        order: Order | None = None,
        parts: int = 1,
    ) -> None:
        """Batches of epoch 0, until :meth:`begin` is called.

        Args:
            samples: number of samples.
            batch_size: images of a step, of all processes together; a multiple of ``processes`` times ``parts``.
            seed: of the order.
            process: the number of this process, from 0.
            processes: how many processes train together.
            order: draws the samples of an epoch; by default each once, shuffled.
            parts: equal parts of a step; a list has this process's samples of the first part, then of the next.
        """
        self.order = order or self._shuffled
        self.samples, self.batch_size, self.seed = samples, batch_size, seed
        self.process, self.processes, self.parts = process, processes, parts
        self.begin(0)

    def begin(self, epoch: int, step: int = 0) -> None:
        """Let the next iteration start at a step of an epoch."""
        self.epoch, self.step = epoch, step

    def steps(self, epoch: int) -> int:
        """Number of batches in an epoch."""
        return self.samples // self.images(epoch)

    def images(self, epoch: int) -> int:
        """Images of a batch, of all processes together."""
        return max(1, min(self.batch_size(epoch), self.samples))

    def __len__(self) -> int:
        return self.steps(self.epoch) - self.step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        order = self.order(generator)
        images = self.images(self.epoch)
        part = images // self.parts
        share = part // self.processes
        for step in range(self.step, self.steps(self.epoch)):
            starts = [step * images + number * part + self.process * share for number in range(self.parts)]
            yield [(self.epoch, index) for start in starts for index in order[start : start + share]]

    def _shuffled(self, generator: torch.Generator) -> list[int]:
        return torch.randperm(self.samples, generator=generator).tolist()
