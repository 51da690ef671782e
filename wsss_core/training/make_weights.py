"""The steps of all trainings of the workflow: prepare, train, save; a killed training is resumed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from wsss_core.config.training import Optimisation
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.devices import loading_processes
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.run import Run
from wsss_core.networks.recomputed import recompute_blocks
from wsss_core.training.batches import mix_seed
from wsss_core.training.curve import write_curve
from wsss_core.training.distributed import decided_by_main_process, is_main_process
from wsss_core.training.event_files import event_files
from wsss_core.training.loop import fit
from wsss_core.training.task import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A network that is ready for training, or for saving without training."""

    task: Task | None
    """The training; None if there is none."""
    save: Callable[[Path], None]
    """Writes the file of weights after the training."""


def make_weights(
    weights: Path,
    training_csv: Path,
    optimisation: Optimisation,
    run: Run,
    prepare: Callable[[torch.device], Prepared],
) -> None:
    """Prepare a network, train it, and write its weights and the training curve; a killed run is resumed.

    Args:
        weights: the file of weights to write.
        training_csv: the training curve to write: epoch, losses, learning rate; without a training, only the header.
        optimisation: how to train; its seed is set before ``prepare`` is called.
        run: how to run the work.
        prepare: builds the network for the given device.

    Raises:
        UserError: as ``prepare`` and :func:`wsss_core.training.loop.fit`.
    """
    partial = PartialWork(weights.parent, "training", run.inputs)
    if decided_by_main_process(lambda: partial.restore(weights, training_csv)):
        return
    torch.manual_seed(mix_seed(optimisation.seed))
    device = device_for(run, optimisation.precision, "optimisation.precision", one_size=True)
    prepared = prepare(device)
    curve: list[dict[str, float]] = []
    if prepared.task is not None:
        if run.recompute and not recompute_blocks(prepared.task.network):
            log.warning("'runtime.recompute' does nothing here: the network has no known residual blocks")
        folder = weights.parent / "tensorboard" if run.tensorboard and is_main_process() else None
        with event_files(folder) as written:
            curve = fit(prepared.task, optimisation, partial, device, loading_processes(run, device), written)
    if is_main_process():
        write_curve(curve, training_csv)
        prepared.save(weights)
        partial.finish(weights, training_csv)
