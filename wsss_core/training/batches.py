"""Which images a step of a training takes, in which order and with which random changes."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset

Batch = Any
BatchSize = Callable[[int], int]
"""From the epoch to the images of a step."""
Order = Callable[[torch.Generator], list[int]]
"""Draws the samples of an epoch, as many as there are, in their order. A sample may come several times: of N samples,
the r-th repetition (from 0) of sample i is called r * N + i, and has random changes of its own."""


class Samples(Protocol):
    """The training samples; random changes draw from torch's global generator."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers; different tuples give unrelated seeds."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 % 2**64
        state ^= state >> 31
    return state >> 1


class SeededSamples(Dataset[Batch]):
    """Seeds each sample by (seed, epoch, index): the same on any number of workers and processes."""

    def __init__(self, samples: Samples, seed: int) -> None:
        """Wrap ``samples``."""
        self.samples, self.seed = samples, seed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """The sample of an epoch and an index; beyond the samples, a repetition (see ``Order``)."""
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            # The CPU's generator alone: torch.manual_seed would also restart the device's, but only
            # where samples are loaded in this process.
            torch.default_generator.manual_seed(mix_seed(self.seed, epoch, index))
            return self.samples[index % len(self.samples)]


class EpochBatches:
    """Yields this process's share of the batches of one epoch, as lists of (epoch, index).

    A step may be computed in parts, one after the other. Each process has its share of every part, so that a part
    has the same images whatever the number of processes.
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
            batch_size: images of a step, of all processes together; has to be a multiple of their number times
                that of parts.
            seed: of the order.
            process: this process's place among those that train together.
            processes: their number.
            order: draws the samples of an epoch; by default each once, shuffled.
            parts: equal stretches of a step; a list has this process's samples of the first, then of the next.
        """
        self.order = order or self._shuffled
        self.samples, self.batch_size, self.seed = samples, batch_size, seed
        self.process, self.processes, self.parts = process, processes, parts
        self.begin(0)

    def begin(self, epoch: int, step: int = 0) -> None:
        """Let the next iteration be over an epoch, from one of its steps on."""
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
