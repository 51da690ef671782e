"""torch on a machine that has the pretended device, for the length of a ``with`` block."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from .tensor import PretendedTensor, Seen, computed, on_pretended, pretended, real, seen

GIGABYTES = 80
functional = nn.functional
LOWER = {torch.conv2d, torch.conv_transpose2d, torch.matmul, torch.mm, torch.bmm, torch.addmm, functional.linear}
"""Functions that CUDA's autocast computes in bfloat16, ..."""
FLOAT32 = {
    *(torch.softmax, Tensor.softmax, functional.softmax),
    *(torch.log_softmax, Tensor.log_softmax, functional.log_softmax),
    *(torch.exp, Tensor.exp, torch.log, Tensor.log, torch.pow, Tensor.pow, torch.sum, Tensor.sum, torch.norm),
    *(Tensor.norm, torch.group_norm, functional.group_norm, functional.cross_entropy, functional.kl_div),
    functional.binary_cross_entropy_with_logits,
}
"""... in float32, ..."""
WIDEST = {torch.cat, torch.stack}
"""... and in the widest format of what they are given."""


class OnDevice(TorchDispatchMode):
    """Makes tensors on the device, and moves the CPU's there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})


class Autocast(TorchFunctionMode):
    """CUDA's lists of what autocast casts; C++ would take those of ``meta``, which has none."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_autocast_enabled("cuda") and (function in LOWER or function in FLOAT32 or function in WIDEST):
            floats = [
                leaf
                for leaf in tree_leaves((args, kwargs))
                if isinstance(leaf, PretendedTensor) and leaf.is_floating_point() and leaf.dtype != torch.float64
            ]
            narrow = function in LOWER or (function in WIDEST and all(x.dtype == torch.bfloat16 for x in floats))
            wanted, cast = torch.bfloat16 if narrow else torch.float32, {id(x) for x in floats}
            args, kwargs = tree_map(lambda x: x.to(wanted) if id(x) in cast else x, (args, kwargs))
        return function(*args, **kwargs)


class Event:
    """An event of a stream; everything is complete as soon as it is asked for."""

    def __init__(self, **kwargs: Any) -> None:
        self.recorded = False

    def record(self) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded, "an event that was never recorded is complete at once"


class Properties:
    total_memory = GIGABYTES * 2**30
    name = "pretended"
    major, minor = 9, 0


@contextmanager
def numerics_restored() -> Iterator[None]:
    """Let torch compute after the body as before it: jobs are processes, which need not put back what they set."""
    deterministic, matmul = torch.are_deterministic_algorithms_enabled(), torch.backends.cuda.matmul
    tf32, fill = matmul.allow_tf32, torch.utils.deterministic.fill_uninitialized_memory
    with patch.dict(os.environ):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            matmul.allow_tf32, torch.utils.deterministic.fill_uninitialized_memory = tf32, fill


@contextmanager
def pretended_cuda(at_most: int | None = None) -> Iterator[Seen]:
    """Let torch find one CUDA device.

    Args:
        at_most: numbers that a convolution's input may hold before the device's memory is full.

    Yields:
        What happens on the device.
    """
    pinned: dict[int, Tensor] = {}  # by address; kept, so that no other tensor gets it

    def pin(self: Tensor, *args: Any) -> Tensor:
        if isinstance(self, PretendedTensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        copy = self.clone()
        pinned[copy.data_ptr()] = copy
        return copy

    def is_pinned(self: Tensor, *args: Any) -> bool:
        return not isinstance(self, PretendedTensor) and self.data_ptr() in pinned

    tensor, save, load, run = torch.tensor, torch.save, torch.load, threading.Thread.run

    def tensor_there(data: Any, *, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        made = tensor(data, dtype=dtype, **kwargs)
        return made.to(device) if device is not None else made

    def save_values(state: Any, *args: Any, **kwargs: Any) -> None:
        save(tree_map(real, state), *args, **kwargs)

    def load_there(*args: Any, map_location: Any = None, **kwargs: Any) -> Any:
        state = load(*args, map_location="cpu", **kwargs)
        return tree_map(pretended, state) if on_pretended(map_location) else state

    def run_there(self: threading.Thread) -> None:
        with OnDevice(), Autocast():  # a thread has no modes of its own
            run(self)

    def set_generator(state: Tensor, device: Any = None) -> None:
        assert not isinstance(state, PretendedTensor), "RNG state must be a torch.ByteTensor of the CPU"

    of_cuda = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_capability": lambda device=None: (9, 0),
        "get_device_name": lambda device=None: "pretended",
        "get_device_properties": lambda device=None: Properties,
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: None,
        "reset_peak_memory_stats": lambda device=None: None,
        "max_memory_reserved": lambda device=None: 0,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": set_generator,
        "manual_seed_all": lambda seed: None,
        "manual_seed": lambda seed: None,
        "Event": Event,
    }
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore")  # of torch, which finds no driver
        # With it torch would choose cuDNN's own operations, which the CPU does not have.
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(numerics_restored())
        for name, replacement in of_cuda.items():
            stack.enter_context(patch.object(torch.cuda, name, replacement))
        for check in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
            if hasattr(torch.optim.Optimizer, check):  # asks the driver; by releases of torch
                stack.enter_context(patch.object(torch.optim.Optimizer, check, lambda self: None))
        for owner, name, replacement in (
            (torch.accelerator, "is_available", lambda: True),  # for the DataLoader, which pins if there is one
            (torch.Tensor, "pin_memory", pin),
            (torch.Tensor, "is_pinned", is_pinned),
            (torch, "inference_mode", torch.no_grad),  # in it, views of a wrapped tensor have no version
            (torch, "tensor", tensor_there),
            (torch, "save", save_values),
            (torch, "load", load_there),
            (threading.Thread, "run", run_there),
        ):
            stack.enter_context(patch.object(owner, name, replacement))
        seen.append(Seen(at_most=at_most))
        try:
            with OnDevice(), Autocast():
                yield seen[-1]
        finally:
            seen.pop()
