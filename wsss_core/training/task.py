"""What a training fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.training.batches import BatchSize, Order, Samples
from wsss_core.training.distributed import Loss


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
    order: Order | None = None
    """Draws the samples of each epoch; by default each once, shuffled."""
