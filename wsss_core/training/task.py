"""What a training fits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.training.batches import Batch, BatchSize, Order, Samples
from wsss_core.training.distributed import Loss


def as_it_is(batch: Batch) -> Batch:
    """The batch itself."""
    return batch


@dataclass(frozen=True)
class Task:
    """A network and what it learns from."""

    network: nn.Module
    """The network, in the mode (train, frozen layers) it is to be trained in."""
    samples: Samples
    """The training samples."""
    loss: Loss
    """Computes the losses of a batch."""
    groups: Sequence[ParameterGroup]
    """What is optimised, with learning rate factors."""
    description: str = "training"
    """For the progress bar and the log."""
    batch_size: BatchSize | None = None
    """Images of a step, by epoch; by default those of the optimisation, which the learning rate's decay is reckoned by
    in any case."""
    parts: int = 1
    """Equal parts that a step's images are computed in, one after the other, each by all processes together; the mean
    of the parts' losses is minimised."""
    prepare: Callable[[Batch], Batch] = as_it_is
    """What is made of a part of a batch on the host, before it goes to the device and to the loss: what has to be known
    there of labels would otherwise be asked of the device, which is busy with the step before."""
    order: Order | None = None
    """Draws the samples of each epoch; by default each once, shuffled."""
