"""Training on several GPUs: a process for each, with its share of every batch (torch.distributed).

All processes hold the same weights and make the same steps. With a single process, these functions do nothing.
``wsss_core.jobs.processes`` starts the processes.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from wsss_core.errors import UserError
from wsss_core.networks.batch_norm import FrozenBatchNorm

Loss = Callable[[Any, int], dict[str, Tensor]]
"""Computes named losses from a batch (on the device) and the epoch; ``"loss"`` is minimised."""


def number_of_processes() -> int:
    """How many processes train together, at least 1."""
    return distributed.get_world_size() if _together() else 1


def process_number() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if _together() else 0


def is_main_process() -> bool:
    """Whether this process writes the files."""
    return process_number() == 0


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def any_process(here: bool) -> bool:
    """Whether ``here`` is true in any process. All processes have to call this."""
    return _summed(float(here))[0] > 0


def decided_by_main_process(decide: Callable[[], bool]) -> bool:
    """The result of ``decide``, which only process 0 calls. All processes have to call this."""
    return any_process(is_main_process() and decide())


def same_in_all_processes(number: int) -> bool:
    """Whether all processes have the same number. All processes have to call this."""
    return len({int(other) for other in of_all_processes(torch.tensor(number))}) == 1


def average(values: Sequence[float]) -> list[float]:
    """The means of values over the processes. All processes have to call this, with the same number of values."""
    return [total / number_of_processes() for total in _summed(*values)]


def _summed(*values: float) -> list[float]:
    """Each value's sum over the processes."""
    if not _together():
        return list(values)
    numbers = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(numbers)
    return numbers.tolist()


def of_all_processes(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes, on the CPU and of the same shape, in the processes' order."""
    if not _together():
        return [tensor]
    tensors = [torch.empty_like(tensor) for _ in range(number_of_processes())]
    distributed.all_gather(tensors, tensor)
    return tensors


def mean_over_processes(count: Tensor) -> Tensor:
    """The mean of a count, such as that of labelled pixels, over the processes' shares of a batch.

    Gradients are averaged over the processes. So for a loss that is a sum over all pixels of a batch divided by their
    number, each process divides its own sum by this mean.
    """
    if not _together():
        return count
    total = count.detach().clone()
    distributed.all_reduce(total)
    return total / number_of_processes()


def data_parallel(network: nn.Module, loss: Loss) -> Loss:
    """Average the gradients of ``loss`` over the processes, which start from process 0's weights.

    Batch normalisation, unless frozen, is changed in place to use the whole batch.

    Args:
        network: the network, on its device.
        loss: losses of a share of a batch; calls the network.
    """
    if not _together():
        return loss
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and not isinstance(part, FrozenBatchNorm):
            _synchronise(part)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return loss
    # Some epochs do not use the parameters of an objective's branch. Finding them also keeps the order in which
    # gradients are added the same in all steps, which a resumed training needs for equal bytes.
    return DistributedDataParallel(_Losses(network, loss), find_unused_parameters=True)


def without_averaging(loss: Loss) -> AbstractContextManager[None]:
    """Delay the averaging of the gradients of :func:`data_parallel`'s loss to the next backward pass after the body."""
    return loss.no_sync() if isinstance(loss, DistributedDataParallel) else nullcontext()


class _Losses(nn.Module):
    """Losses as the forward pass of a module, because DistributedDataParallel wraps modules."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Any, epoch: int) -> dict[str, Tensor]:
        losses = self.loss(batch, epoch)
        return {name: value if name == "loss" else value.detach() for name, value in losses.items()}


def _synchronise(norm: nn.BatchNorm2d) -> None:
    """Let batch normalisation use all processes' images, in place."""
    if type(norm) is nn.BatchNorm2d:
        norm.__class__ = SynchronisedBatchNorm2d
        return
    drop, activation = getattr(norm, "drop", None), getattr(norm, "act", None)
    if drop is None or activation is None:  # timm's has these two after the normalisation
        raise UserError(f"on several GPUs a {type(norm).__name__} would see only one GPU's images: use one GPU")
    norm.__class__ = SynchronisedBatchNormAct2d


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all processes' images.

    torch's SyncBatchNorm works only on GPUs, and is not a ``BatchNorm2d``, which other code looks for.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) by channel; running statistics change as in one process with all images."""
        if not self.training:
            return super().forward(input)
        given, input = input.dtype, input if input.dtype == torch.float64 else input.float()  # under autocast
        channels = (1, -1, 1, 1)
        sums = torch.cat([input.sum(dim=(0, 2, 3)), input.new_tensor([input.numel() / input.shape[1]])])
        *_, count = total = _SummedOverProcesses.apply(sums)
        mean = total[:-1] / count
        centred = input - mean.view(channels)
        variance = _SummedOverProcesses.apply(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale.view(channels) + self.bias.view(channels)).to(given)


class SynchronisedBatchNormAct2d(SynchronisedBatchNorm2d):
    """The same followed by dropout and an activation, as in timm's ``BatchNormAct2d``."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W), drop, activate."""
        return self.act(self.drop(super().forward(input)))


class _SummedOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
