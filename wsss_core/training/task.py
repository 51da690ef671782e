"""The description of a training: network, samples and loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.training.batches import Batch, BatchSize, Order, Samples
from wsss_core.training.distributed import Loss


def unchanged(batch: Batch) -> Batch:
    """The batch itself."""
    return batch


@dataclass(frozen=True)
class Task:
    """A network and what it learns from."""

    network: nn.Module
    """The network, in the mode (train, frozen layers) for training."""
    samples: Samples
    """The training samples."""
    loss: Loss
    """Computes the losses of a batch."""
    groups: Sequence[ParameterGroup]
    """The parameters to optimise, with learning rate factors."""
    description: str = "training"
    """For the progress bar and the log."""
    batch_size: BatchSize | None = None
    """Images of a step, by epoch; by default the batch size of the optimisation. The learning rate's decay always uses
    the latter."""
    parts: int = 1
    """A step is computed in this many equal parts, one after the other, each by all processes; the mean of the parts'
    losses is minimised."""
    prepare: Callable[[Batch], Batch] = unchanged
    """Prepares a part of a batch on the host, before it goes to the device and to the loss. Facts about labels that the
    loss needs would otherwise have to be read from the device, which is busy with the previous step."""
    order: Order | None = None
    """Draws the samples of each epoch; by default each once, shuffled."""
