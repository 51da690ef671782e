"""Uses the CPU's random numbers on a GPU, so that a stage's results on both can be compared."""

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
"""Operations that use random numbers. torch's tag also includes fused attention, which only uses them for dropout, and
whose CUDA versions do not exist on the CPU."""


class RandomOfTheCpu(TorchDispatchMode):
    """Inside a ``with`` block, random numbers for CUDA come from the CPU's global generator.

    Training steps have to wait for them, so this is not for measuring speed.
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
                raise NotImplementedError(f"{function}, which uses random numbers")
            return function(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise NotImplementedError(f"{function} with its own generator")
        if function.overloadpacket is torch.ops.aten.native_dropout:
            return _dropped(*args, **kwargs)
        on_cpu = tree_map(_to_cpu, (args, kwargs))
        drawn = function(*on_cpu[0], **on_cpu[1])
        if function._schema.is_mutable:
            return args[0].copy_(drawn)
        return drawn.to(device)


def _cuda_of(args: Any, kwargs: Any) -> torch.device | None:
    """The GPU on which an operation computes, or None."""
    devices = [leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    asked = kwargs.get("device")
    devices += [] if asked is None else [torch.device(asked)]
    return next((device for device in devices if device.type == "cuda"), None)


def _to_cpu(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.cpu()
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _dropped(values: Tensor, share: float, train: bool | None = True) -> tuple[Tensor, Tensor]:
    """CUDA's ``native_dropout`` by the operations that the CPU uses instead; returns values and mask."""
    if not train:
        return values, torch.ones_like(values, dtype=torch.bool)
    kept = torch.empty_like(values, device="cpu").bernoulli_(1 - share)
    mask = kept.bool().to(values.device)
    return values * mask / (1 - share), mask
