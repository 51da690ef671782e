"""The training loop that all networks share: seeded, resumable, on one device or several."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import accumulate

import torch
from torch import Tensor

from wsss_core.config.training import Optimisation
from wsss_core.errors import UserError
from wsss_core.files.resume import PartialWork
from wsss_core.files.signals import STOPPED_BY_SIGTERM, signals_deferred
from wsss_core.jobs.devices import moved
from wsss_core.jobs.measured import record_figure
from wsss_core.jobs.progress import Progress
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.training.batches import Batch, EpochBatches, SeededSamples, mix_seed
from wsss_core.training.checkpoint import Checkpoint, Position
from wsss_core.training.distributed import (
    Loss,
    any_process,
    data_parallel,
    is_main_process,
    number_of_processes,
    process_number,
    without_averaging,
)
from wsss_core.training.frozen import memory_format
from wsss_core.training.loading import loader_of
from wsss_core.training.speed import Speed
from wsss_core.training.step_losses import StepLosses
from wsss_core.training.task import Task

log = logging.getLogger(__name__)


def fit(
    task: Task,
    optimisation: Optimisation,
    partial: PartialWork,
    device: torch.device,
    workers: int = 0,
    report: Callable[[Mapping[str, float]], None] = lambda row: None,
) -> list[dict[str, float]]:
    """Train the network of ``task`` in place, starting from the last checkpoint if there is one.

    A checkpoint is saved after every epoch. After SIGTERM or SIGINT, the process finishes the current step, saves
    another checkpoint and ends. If several processes train together (``wsss_core.training.distributed``), each computes
    the loss of its share of the batch, or of each of its parts; all of them return.

    Args:
        task: the network, the samples, the loss.
        optimisation: epochs, batch size, learning rate and so on.
        partial: where the checkpoint is kept; not finished here.
        device: where to compute.
        workers: processes that load samples; 0 loads in this process. Results do not depend on it.
        report: called with every row of the curve, including those of an earlier run.

    Returns:
        One row for each epoch: ``epoch`` (from 1), mean of every named loss, ``learning_rate`` at its end.

    Raises:
        UserError: there are no samples, they cannot be shared equally, or the loss is no longer finite.
        SystemExit: SIGTERM came, and no other handler has ended the process.
    """
    network, description = task.network, task.description
    batches = _batches_of(task, optimisation)
    network.to(device).to(memory_format=memory_format(device, optimisation.precision))
    optimizer = _make_optimizer(task.groups, optimisation)
    checkpoint = Checkpoint(partial.path("checkpoint.pt"), network, optimizer, device)
    steps_of_epochs = [batches.steps(epoch) for epoch in range(optimisation.epochs)]
    position = checkpoint.load(steps_of_epochs)
    if position != Position():
        log.info("%s: continuing after epoch %d and %d steps", description, position.epoch, position.step)
    for row in position.curve:
        report(row)
    losses_of = data_parallel(network, task.loss)
    epoch_ends = list(accumulate(steps_of_epochs, initial=0))
    steps = max(_steps_of_the_settings(len(task.samples), optimisation), epoch_ends[-1])
    done = epoch_ends[position.epoch] + position.step
    speed = Speed()
    counter = Progress(description, epoch_ends[-1], done=done, unit="steps", shown=is_main_process())
    seeded, workers = SeededSamples(task.samples, optimisation.seed), math.ceil(workers / number_of_processes())
    with signals_deferred() as signal_came, loader_of(seeded, workers, device, batch_sampler=batches) as loader:
        while position.epoch < optimisation.epochs:
            epoch = position.epoch
            batches.begin(epoch, position.step)
            if position.step == 0:
                _seed_device(optimisation.seed, epoch)
            losses = StepLosses(device)
            for batch in loader:
                factor = learning_rate_factor(epoch_ends[epoch] + position.step, steps, optimisation, epoch)
                for group in optimizer.param_groups:
                    group["lr"] = optimisation.learning_rate * group["factor"] * factor
                losses.add(_step(losses_of, batch, epoch, optimizer, device, optimisation.precision, task))
                position.step += 1
                stopping = any_process(signal_came())
                for values in losses.read(at_once=stopping or position.step == batches.steps(epoch)):
                    _check_finite(values["loss"], epoch, description)
                    position.add(values)
                speed.step(batches.images(epoch))
                figures = [f"epoch {epoch + 1}", losses.last, str(speed)]
                counter.advance(note=", ".join(filter(None, figures)))
                if stopping and position.step < batches.steps(epoch):
                    checkpoint.save(position)
                    log.info("%s: stopped by a signal in epoch %d, step %d", description, epoch + 1, position.step)
                    raise SystemExit(STOPPED_BY_SIGTERM)
            means = {name: total / batches.steps(epoch) for name, total in position.sums.items()}
            row = {"epoch": epoch + 1.0, **means, "learning_rate": optimisation.learning_rate * factor}
            position = Position([*position.curve, row])
            report(row)
            figures = [f"{key} {value:.6g}" for key, value in row.items()]
            log.info("%s: %s", description, ", ".join(filter(None, [*figures, str(speed)])))
            checkpoint.save(position)
            if stopping:
                log.info("%s: stopped by a signal after epoch %d", description, epoch + 1)
                raise SystemExit(STOPPED_BY_SIGTERM)
    counter.close()
    if speed.images_per_second is not None:
        record_figure("images_per_second", round(speed.images_per_second, 2))
    return position.curve


def _batches_of(task: Task, optimisation: Optimisation) -> EpochBatches:
    """The batches of this process.

    Raises:
        UserError: there are no samples, or they cannot be shared equally.
    """
    samples, processes = len(task.samples), number_of_processes()
    if optimisation.epochs > 0 and samples == 0:
        raise UserError(f"{task.description}: there is no image to train on")
    batch_size = task.batch_size or (lambda epoch: optimisation.batch_size)
    batches = EpochBatches(samples, batch_size, optimisation.seed, process_number(), processes, task.order, task.parts)
    for epoch in range(optimisation.epochs):
        _check_shares(batches.images(epoch), processes, task.parts, task.description)
    return batches


def _steps_of_the_settings(samples: int, optimisation: Optimisation) -> int:
    """Steps of a training with the batch size of the settings, which the learning rate's decay follows."""
    return samples // max(1, min(optimisation.batch_size, samples)) * optimisation.epochs


def _seed_device(seed: int, epoch: int) -> None:
    """Restart the device's random numbers (dropout), so that a resumed run equals an uninterrupted one."""
    process = process_number()
    torch.manual_seed(mix_seed(seed, epoch, -1, *([process] if process else [])))


def _check_finite(loss: float, epoch: int, description: str) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"{description}: the loss is {loss} at epoch {epoch + 1}; "
            "a lower 'optimisation.learning_rate' usually helps"
        )


def _check_shares(images: int, processes: int, parts: int, description: str) -> None:
    """Refuse a number of images in a step that processes, and parts within a process, cannot share equally."""
    if images % processes:
        raise UserError(
            f"{description}: {processes} GPUs cannot share the {images} images of a step equally; "
            "choose another batch size, or another number of GPUs ('gpu' in 'resources')"
        )
    if images // processes % parts:
        raise UserError(
            f"{description}: a step has {images // processes} images in a process, which cannot be divided into "
            f"{parts} equal parts; choose an 'optimisation.accumulate' that divides them, such as 1"
        )


def _step(
    losses_of: Loss,
    batch: Batch,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    precision: str,
    task: Task,
) -> dict[str, Tensor]:
    """Change the weights by one step, without waiting for the device.

    Args:
        losses_of: computes the losses, and averages gradients over the processes.
        batch: this process's share of the images.
        epoch: from 0.
        optimizer: with the step's learning rates.
        device: where to compute.
        precision: see ``Optimisation``.
        task: has the number of equal parts of a batch, and prepares each part.

    Returns:
        The losses by name, float64, means over the parts.
    """
    optimizer.zero_grad(set_to_none=True)
    computed: list[dict[str, Tensor]] = []
    parts = task.parts
    for given in _split(batch, parts):
        part = _to_device(task.prepare(given), device)
        with without_averaging(losses_of) if len(computed) + 1 < parts else nullcontext():
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                losses = losses_of(part, epoch)
            (losses["loss"] / parts).backward()
        computed.append({name: value.detach() for name, value in losses.items()})
    optimizer.step()
    return _means(computed, device)


def learning_rate_factor(step: int, steps: int, optimisation: Optimisation, epoch: int = 0) -> float:
    """Linear warm-up, then polynomial decay, or a tenth of the rate after each milestone; or a cosine by epoch.

    Args:
        step: the next step, from 0.
        steps: all steps of the training.
        optimisation: has ``warmup_steps``, ``power``, ``decay_every`` and ``milestones``; or ``cosine``.
        epoch: the epoch of the step, from 0; only ``cosine`` uses it.

    Returns:
        The multiple of the learning rate: in (0, 1], except for a cosine that ends above it.
    """
    if optimisation.cosine is not None:
        rate = optimisation.cosine.rate(epoch, optimisation.epochs, optimisation.learning_rate)
        return rate / optimisation.learning_rate
    warmup = min(1.0, (step + 1) / (optimisation.warmup_steps + 1))
    if optimisation.milestones:
        return warmup * 0.1 ** sum(step >= share * steps for share in optimisation.milestones)
    changed = step - step % optimisation.decay_every
    return warmup * (1 - changed / steps) ** optimisation.power


def _means(losses: Sequence[Mapping[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """The means of the parts' losses, by name."""
    names = list(losses[0])
    values = torch.stack([part[name].to(device, torch.float64) for part in losses for name in names])
    means = values.view(len(losses), len(names)).sum(dim=0) / len(losses)
    return dict(zip(names, means.unbind(), strict=True))


def _to_device(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return moved(batch, device)
    if isinstance(batch, dict):
        return {key: _to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(_to_device(value, device) for value in batch)
    return batch


def _split(batch: Batch, parts: int) -> list[Batch]:
    """Equal parts of a batch, in the order of its images."""
    if parts == 1:
        return [batch]
    if isinstance(batch, Tensor):
        return list(batch.chunk(parts))
    if isinstance(batch, dict):
        pieces = {key: _split(value, parts) for key, value in batch.items()}
        return [{key: piece[number] for key, piece in pieces.items()} for number in range(parts)]
    return [type(batch)(piece) for piece in zip(*(_split(value, parts) for value in batch), strict=True)]


def _make_optimizer(groups: Sequence[ParameterGroup], optimisation: Optimisation) -> torch.optim.Optimizer:
    # Fused: a whole step in one pass over the weights (torch has this for the CPU and for CUDA).
    if optimisation.optimizer == "adamw":
        return torch.optim.AdamW(
            groups, lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay, fused=True
        )
    return torch.optim.SGD(
        groups,
        lr=optimisation.learning_rate,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
        fused=True,
    )
