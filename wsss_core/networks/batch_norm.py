"""Batch normalisation that does not change, permanently or for some time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that stays in evaluation mode even after ``train()``."""

    def train(self, mode: bool = True) -> Any:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)


_frozen_kinds: dict[type[nn.BatchNorm2d], type[nn.BatchNorm2d]] = {nn.BatchNorm2d: FrozenBatchNorm}


def _frozen(kind: type[nn.BatchNorm2d]) -> type[nn.BatchNorm2d]:
    """The frozen form of a class of batch normalisation, such as timm's, which includes an activation."""
    if issubclass(kind, FrozenBatchNorm):
        return kind
    if kind not in _frozen_kinds:
        _frozen_kinds[kind] = type(f"Frozen{kind.__name__}", (FrozenBatchNorm, kind), {})
    return _frozen_kinds[kind]


def freeze_batch_norm(module: nn.Module) -> None:
    """Freeze statistics, weight and bias of all batch normalisation in ``module``, permanently.

    State-dict names do not change. Later calls of ``train()`` do not undo this.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            # The class is replaced in place, which keeps parameters, buffers and references to them.
            part.__class__ = _frozen(type(part))
            part.train(False)
            part.requires_grad_(False)


@contextmanager
def fixed_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation use its running statistics without updating them, inside a ``with`` block.

    For images that differ from those in later use, such as erased ones.
    """
    training = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
    for part in training:
        part.eval()
    try:
        yield
    finally:
        for part in training:
            part.train()
