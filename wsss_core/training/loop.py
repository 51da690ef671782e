"""The training loop that all networks share: seeded, resumable after every epoch."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from wsss_core.atomic import atomic_path
from wsss_core.config.training import Optimisation
from wsss_core.errors import UserError
from wsss_core.progress import Progress
from wsss_core.resume import PartialWork

log = logging.getLogger(__name__)

Batch = Any
Loss = Callable[[Batch, int], dict[str, Tensor]]
"""From a batch (on the device) and the epoch to named losses; ``"loss"`` is the one minimised."""


BatchSize = Callable[[int], int]
"""From the epoch to the images of a step."""


class Samples(Protocol):
    """The training samples; random changes draw from torch's global generator."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


class ParameterGroup(dict[str, Any]):
    """An optimiser's group: ``params`` and ``factor``, its multiple of the learning rate."""

    def __init__(self, parameters: Iterable[nn.Parameter], factor: float, **options: Any) -> None:
        """Make a group; ``options`` (``weight_decay=0``) override the optimiser's own."""
        super().__init__(params=list(parameters), factor=factor, **options)


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers; different tuples give unrelated seeds."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 % 2**64
        state ^= state >> 31
    return state >> 1


class _SeededSamples(Dataset[Batch]):
    """Seeds each sample by (seed, epoch, index): the same on any number of workers."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            # The CPU's generator alone: torch.manual_seed would also restart the device's, but only
            # where samples are loaded in this process.
            torch.default_generator.manual_seed(mix_seed(self.seed, epoch, index))
            return self.samples[index]


class _EpochBatches:
    """Yields the batches of one epoch as lists of (epoch, index)."""

    def __init__(self, samples: int, batch_size: BatchSize, seed: int) -> None:
        self.samples, self.batch_size, self.seed, self.epoch = samples, batch_size, seed, 0

    def count(self, epoch: int) -> int:
        """Number of batches in an epoch."""
        return self.samples // self._images(epoch)

    def _images(self, epoch: int) -> int:
        return max(1, min(self.batch_size(epoch), self.samples))

    def __len__(self) -> int:
        return self.count(self.epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        order = torch.randperm(self.samples, generator=generator).tolist()
        images = self._images(self.epoch)
        for start in range(0, len(self) * images, images):
            yield [(self.epoch, index) for index in order[start : start + images]]


def learning_rate_factor(step: int, steps: int, optimisation: Optimisation) -> float:
    """Linear warm-up, then polynomial decay, or a tenth of the rate after each milestone.

    Args:
        step: the step that is about to be made, from 0.
        steps: all steps of the training.
        optimisation: gives ``warmup_steps``, ``power``, ``decay_every`` and ``milestones``.

    Returns:
        The multiple of the learning rate, in (0, 1].
    """
    warmup = min(1.0, (step + 1) / (optimisation.warmup_steps + 1))
    if optimisation.milestones:
        return warmup * 0.1 ** sum(step >= share * steps for share in optimisation.milestones)
    changed = step - step % optimisation.decay_every
    return warmup * (1 - changed / steps) ** optimisation.power


def _to_device(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(_to_device(value, device) for value in batch)
    return batch


def fit(
    network: nn.Module,
    samples: Samples,
    loss: Loss,
    groups: Sequence[ParameterGroup],
    optimisation: Optimisation,
    partial: PartialWork,
    device: torch.device,
    workers: int = 0,
    description: str = "training",
    batch_size: BatchSize | None = None,
) -> list[dict[str, float]]:
    """Train ``network`` in place; go on from the last finished epoch if there is one.

    Args:
        network: the network, in the mode (train, frozen layers) it is to be trained in.
        samples: the training samples.
        loss: computes the losses of a batch.
        groups: what is optimised, with learning rate factors.
        optimisation: epochs, batch size, learning rate and so on.
        partial: where the checkpoint of the last finished epoch is kept; not finished here.
        device: where to compute.
        workers: processes that load samples; 0 loads in this one. Results do not depend on it.
        description: for the progress bar and the log.
        batch_size: images of a step, by epoch; by default those of ``optimisation``, which the learning
            rate's decay is reckoned by in any case.

    Returns:
        One row per epoch: ``epoch`` (from 1), mean of every named loss, ``learning_rate`` at its end.

    Raises:
        UserError: there are no samples, or the loss is not finite any more.
    """
    if optimisation.epochs > 0 and len(samples) == 0:
        raise UserError(f"{description}: there is no image to train on")
    # Convolutions on the CPU are a quarter faster in this layout; float32 ones on CUDA are not.
    network.to(device)
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)
    optimizer = _make_optimizer(groups, optimisation)
    batches = _EpochBatches(len(samples), batch_size or (lambda epoch: optimisation.batch_size), optimisation.seed)
    loader = DataLoader(
        _SeededSamples(samples, optimisation.seed),
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        # Its own, for it draws from it at moments that depend on the number of workers.
        generator=torch.Generator(),
    )
    curve: list[dict[str, float]] = []
    checkpoint = partial.path("checkpoint.pt")
    state = _read_checkpoint(checkpoint, device)
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        curve = state["curve"]
        log.info("%s: continuing after epoch %d", description, len(curve))
    epoch_ends = list(accumulate((batches.count(epoch) for epoch in range(optimisation.epochs)), initial=0))
    reckoned = len(samples) // max(1, min(optimisation.batch_size, len(samples))) * optimisation.epochs
    steps = max(reckoned, epoch_ends[-1])
    counter = Progress(description, epoch_ends[-1], done=epoch_ends[len(curve)], unit="steps")
    for epoch in range(len(curve), optimisation.epochs):
        batches.epoch = epoch
        # What is random on the device (dropout) starts afresh, so that a resumed run equals an unbroken one.
        torch.manual_seed(mix_seed(optimisation.seed, epoch, -1))
        sums: dict[str, float] = {}
        for step, batch in enumerate(loader, start=epoch_ends[epoch]):
            factor = learning_rate_factor(step, steps, optimisation)
            for group in optimizer.param_groups:
                group["lr"] = optimisation.learning_rate * group["factor"] * factor
            losses = loss(_to_device(batch, device), epoch)
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            optimizer.step()
            values = {name: float(value.detach()) for name, value in losses.items()}
            if not math.isfinite(values["loss"]):
                raise UserError(
                    f"{description}: the loss is {values['loss']} at epoch {epoch + 1}; "
                    "a lower 'optimisation.learning_rate' usually helps"
                )
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
            counter.advance(note=f"epoch {epoch + 1}, loss {values['loss']:.4f}")
        row = {"epoch": epoch + 1.0, **{name: total / len(batches) for name, total in sums.items()}}
        row["learning_rate"] = optimisation.learning_rate * factor
        curve.append(row)
        log.info("%s: %s", description, ", ".join(f"{key} {value:.6g}" for key, value in row.items()))
        state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "curve": curve}
        with atomic_path(checkpoint) as temporary:
            torch.save(state, temporary)
    counter.close()
    return curve


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state after the last finished epoch; None where there is none, or it is damaged."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        log.warning("%s is damaged (%s): the training starts from its beginning", path, error)
        return None


def _make_optimizer(groups: Sequence[ParameterGroup], optimisation: Optimisation) -> torch.optim.Optimizer:
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=optimisation.learning_rate,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
    )
