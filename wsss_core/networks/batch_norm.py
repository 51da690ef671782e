"""Batch normalisation that stays as it is, for good or for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that stays in evaluation mode whatever ``train()`` says."""

    def train(self, mode: bool = True) -> Any:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)


_frozen_kinds: dict[type[nn.BatchNorm2d], type[nn.BatchNorm2d]] = {nn.BatchNorm2d: FrozenBatchNorm}


def _frozen(kind: type[nn.BatchNorm2d]) -> type[nn.BatchNorm2d]:
    """The frozen form of a kind of batch normalisation, such as timm's with an activation behind it."""
    if issubclass(kind, FrozenBatchNorm):
        return kind
    if kind not in _frozen_kinds:
        _frozen_kinds[kind] = type(f"Frozen{kind.__name__}", (FrozenBatchNorm, kind), {})
    return _frozen_kinds[kind]


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep statistics, weight and bias of all batch normalisation in ``module`` as they are, for good.

    State-dict names do not change. Later calls of ``train()`` do not undo it.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            # The class is exchanged in place: parameters, buffers and whoever refers to them stay.
            part.__class__ = _frozen(type(part))
            part.train(False)
            part.requires_grad_(False)


@contextmanager
def fixed_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation use its running statistics, and not add to them, for a while.

    For images unlike those that the network will see in use, such as erased ones.
    """
    training = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
    for part in training:
        part.eval()
    try:
        yield
    finally:
        for part in training:
            part.train()
