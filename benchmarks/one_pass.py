"""Counts the operations and bytes of a network's forward and backward pass, without memory for it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from wsss_core.networks.recomputed import BLOCKS


@dataclass(frozen=True)
class Pass:
    """A forward and a backward pass for one image."""

    operations: float
    """Floating-point operations."""
    kept: float
    """Bytes kept for the backward pass."""
    weights: float
    """Bytes of the weights."""
    recomputed: float
    """Bytes kept for the backward pass if residual blocks are recomputed."""


def one_pass(build: Callable[[], nn.Module], size: tuple[int, int], trained: bool = True, images: int = 1) -> Pass:
    """Count operations and bytes for one image.

    Args:
        build: makes the network.
        size: height and width of the image.
        trained: compute the weights' gradients; otherwise the image's.
        images: images in the batch, for networks that cannot be trained on a single one.
    """
    try:
        return _counted(build, size, trained, images, FakeTensorMode(allow_non_fake_inputs=True))
    except DataDependentOutputException:  # timm's vision transformers need values during construction
        return _counted(build, size, trained, images, torch.device("meta"))


def _counted(
    build: Callable[[], nn.Module], size: tuple[int, int], trained: bool, images: int, without_memory: Any
) -> Pass:
    """The same, with a context ``without_memory`` in which tensors use no memory."""
    kept: dict[int, tuple[int, nn.Module | None]] = {}  # by storage: bytes, and the residual block that keeps them
    inputs: dict[int, int] = {}  # of the residual blocks, the same
    under_way: list[nn.Module] = []
    trained_parts: dict[int, bool] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(id(storage), (storage.nbytes(), under_way[-1] if under_way else None))
        return tensor

    def enter(block: nn.Module, given: tuple[Tensor, ...]) -> None:
        under_way.append(block)
        if given[0].requires_grad or trained_parts[id(block)]:
            inputs[id(given[0].untyped_storage())] = given[0].untyped_storage().nbytes()

    with without_memory, FlopCounterMode(display=False) as counter:
        network = build().train(trained)
        own = {id(p.untyped_storage()) for p in (*network.parameters(), *network.buffers())}
        for part in network.modules():
            if type(part) in BLOCKS:
                trained_parts[id(part)] = any(p.requires_grad for p in part.parameters())
                part.register_forward_pre_hook(enter)
                part.register_forward_hook(lambda *given: under_way.pop() and None)
        pixels = torch.randn(images, 3, *size, requires_grad=not trained)
        if not trained:
            network.requires_grad_(False)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = network(pixels)
            outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
            total = torch.stack([output.sum() for output in outputs]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
    saved = {storage: facts for storage, facts in kept.items() if storage not in own}
    within: dict[nn.Module, float] = defaultdict(float)
    for storage, (size_of_it, block) in saved.items():
        if block is not None and storage not in inputs:
            within[block] += size_of_it
    plain = sum(size_of_it for size_of_it, _ in saved.values())
    # Blocks keep their inputs, even if not saved otherwise; one block at a time is recomputed.
    unsaved = sum(size_of_it for storage, size_of_it in inputs.items() if storage not in saved)
    recomputed = plain + unsaved - sum(within.values()) + max(within.values(), default=0.0)
    return Pass(counter.get_total_flops() / images, plain / images, weights, recomputed / images)
