"""Random numbers on a GPU that are those of the CPU, so that what a stage makes there can be compared."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_RANDOM = {
    *("bernoulli", "bernoulli_", "native_dropout", "rand", "rand_like", "randn", "randn_like", "randint"),
    *("randint_like", "randperm", "normal", "normal_", "normal_functional", "uniform", "uniform_", "random_"),
    *("exponential_", "multinomial", "log_normal_", "geometric_", "cauchy_"),
}
"""What draws. torch's tag says so of fused attention too, which draws only where it drops, and of which the CPU lacks
CUDA's forms."""


class RandomOfTheCpu(TorchDispatchMode):
    """Within it, whatever is drawn on CUDA is drawn by the CPU's global generator, and sent there.

    Training steps wait for that, so that it is nothing for measuring.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = _cuda_of(args, kwargs)
        if device is None or torch.Tag.nondeterministic_seeded not in function.tags:
            return function(*args, **kwargs)
        if function.overloadpacket.__name__ not in _RANDOM:
            asked = function._schema.arguments
            named = {argument.name: argument.default_value for argument in asked}
            named |= dict(zip(named, args, strict=False)) | kwargs
            if named.get("dropout_p") != 0:
                raise NotImplementedError(f"{function}, which draws")
            return function(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise NotImplementedError(f"{function} with a generator of its own")
        if function.overloadpacket is torch.ops.aten.native_dropout:
            return _dropped(*args, **kwargs)
        on_cpu = tree_map(_to_cpu, (args, kwargs))
        drawn = function(*on_cpu[0], **on_cpu[1])
        if function._schema.is_mutable:
            return args[0].copy_(drawn)
        return drawn.to(device)


def _cuda_of(args: Any, kwargs: Any) -> torch.device | None:
    """The GPU that an operation computes on, if it does."""
    devices = [leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    asked = kwargs.get("device")
    devices += [] if asked is None else [torch.device(asked)]
    return next((device for device in devices if device.type == "cuda"), None)


def _to_cpu(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.cpu()
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _dropped(values: Tensor, share: float, train: bool | None = True) -> tuple[Tensor, Tensor]:
    """``native_dropout``, which CUDA has, in the steps that the CPU takes in its place; values and mask."""
    if not train:
        return values, torch.ones_like(values, dtype=torch.bool)
    kept = torch.empty_like(values, device="cpu").bernoulli_(1 - share)
    mask = kept.bool().to(values.device)
    return values * mask / (1 - share), mask
