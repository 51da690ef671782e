"""Residual blocks that only keep their input for the backward pass, and recompute their other values there.

Activation checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016), with
``torch.utils.checkpoint``. Losses, gradients and statistics are bitwise equal to those of the plain blocks.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.checkpoint import checkpoint
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsss_core.networks.resnet38 import BottleneckBlock, ResidualBlock

BLOCKS: tuple[type[nn.Module], ...] = (BasicBlock, Bottleneck, ResidualBlock, BottleneckBlock)
"""The supported blocks of trunks."""


class Recomputed:
    """A base class to put before a block's own class: see :func:`recompute_blocks`."""

    def forward(self, *given: Any) -> Any:
        """The block's output."""
        plain = super().forward  # type: ignore[misc]
        assert isinstance(self, nn.Module)
        if not torch.is_grad_enabled():
            return plain(*given)
        dropped = any(isinstance(part, _DropoutNd) and part.p > 0 and part.training for part in self.modules())
        # The second time, the norms need the mode of the first time, which the loss may have changed temporarily.
        norms = [(part, part.training) for part in self.modules() if isinstance(part, nn.BatchNorm2d)]
        contexts = partial(_first_and_second_time, norms)
        return checkpoint(plain, *given, use_reentrant=False, preserve_rng_state=dropped, context_fn=contexts)


_recomputed_kinds: dict[type[nn.Module], type[nn.Module]] = {}


def recompute_blocks(network: nn.Module) -> int:
    """Let all residual blocks of a network be recomputed, in place; names in its state dict do not change.

    Returns:
        The number of blocks. Networks without such blocks (VGG-16, timm's) do not change.
    """
    blocks = [part for part in network.modules() if type(part) in BLOCKS]
    for block in blocks:
        kind = type(block)
        if kind not in _recomputed_kinds:
            _recomputed_kinds[kind] = type(f"Recomputed{kind.__name__}", (Recomputed, kind), {})
        block.__class__ = _recomputed_kinds[kind]
    return len(blocks)


def _first_and_second_time(norms: list[tuple[nn.BatchNorm2d, bool]]) -> tuple[Any, Any]:
    return nullcontext(), _as_the_first_time(norms)


@contextmanager
def _as_the_first_time(norms: list[tuple[nn.BatchNorm2d, bool]]) -> Iterator[None]:
    """Let batch normalisation compute as before, and update copies of its statistics, which are discarded."""
    now = [(norm, norm.training, dict(norm._buffers)) for norm, _ in norms]
    for norm, training in norms:
        norm.training = training
        if training:
            norm._buffers.update({name: None if own is None else own.clone() for name, own in norm._buffers.items()})
    try:
        yield
    finally:
        for norm, training, buffers in now:
            norm.training = training
            norm._buffers.update(buffers)
