"""Tensors that say they lie on ``cuda:0``, and whose values the CPU computes.

As on a GPU, an operation on such a tensor refuses the CPU's tensors beside it and the CPU's generators, and
``numpy()``. What a GPU would let this thread wait for is noted, by the line of the package that asked for it.
"""

import linecache
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

import wsss_core

CUDA = torch.device("cuda", 0)
PACKAGE = str(Path(wsss_core.__file__).parent) + "/"
COMPREHENSION = re.compile(r"\.<locals>\.<(list|dict|set)comp>")
INDEXING = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_")
TAKES_CPU_TENSORS = ("copy_", "_to_copy", *INDEXING)
"""Operations that CUDA computes with tensors of the CPU among its arguments."""
WAITS = {
    "_local_scalar_dense": "a number read",
    "nonzero": "a size that depends on values",
    "masked_select": "a size that depends on values",
    "_unique2": "a size that depends on values",
    "unique_dim": "a size that depends on values",
    "equal": "a comparison read",
    "is_nonzero": "a number read",
}
"""Operations whose result the host needs before it can go on."""
UNORDERED = {
    *("upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "_upsample_bilinear2d_aa_backward"),
    "_upsample_bicubic2d_aa_backward",
    *("upsample_linear1d_backward", "upsample_trilinear3d_backward", "grid_sampler_2d_backward"),
    *("_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward", "avg_pool3d_backward"),
    *("reflection_pad2d_backward", "put_", "histc", "median", "_ctc_loss_backward"),
}
"""Operations that CUDA adds up, or chooses, in an order that differs from run to run; torch has no other form of them
(the documentation of ``torch.use_deterministic_algorithms``)."""
UNORDERED_BY_DEFAULT = {
    *("scatter_add", "scatter_add_", "scatter_reduce", "scatter_reduce_", "index_add", "index_add_", "cumsum"),
    *("replication_pad2d_backward", "embedding_dense_backward", "max_pool3d_with_indices_backward"),
}
"""The same, which ``torch.use_deterministic_algorithms`` gives an order; ``cumsum`` of floats only."""


class Wait(NamedTuple):
    """A moment at which a thread would wait for a GPU."""

    kind: str
    """What it waits for."""
    place: str
    """The innermost line of the package: file, function, text."""
    within: tuple[str, ...]
    """Files and functions of the package that are under way."""

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}"


@dataclass
class Seen:
    """What happened on the pretended device."""

    waits: Counter[Wait] = field(default_factory=Counter)
    """With how often each was."""
    operations: Counter[str] = field(default_factory=Counter)
    """By name."""
    unordered: Counter[str] = field(default_factory=Counter)
    """Operations that would add in another order each time, by line of the package and name."""
    at_most: int | None = None
    """Numbers that a convolution's input may hold: of more the memory is full."""
    largest: int = 0
    """Numbers that the largest input of a convolution held."""

    def wait(self, kind: str) -> None:
        """Note that the thread waits."""
        lines = _lines_of_the_package()
        self.waits[
            Wait(kind, _place_in_words(*lines[0]) if lines else "elsewhere", tuple(_function(*line) for line in lines))
        ] += 1

    def waits_within(self, function: str) -> list[str]:
        """The waits while a function is under way, such as ``training/loop.py, _step``."""
        return sorted({str(wait) for wait in self.waits if function in wait.within})


seen = [Seen()]
"""The last is what counts now."""


Line = tuple[CodeType, int]


def _lines_of_the_package() -> list[Line]:
    """The lines of the package that are being executed, the innermost first."""
    lines = []
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            lines.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return lines


def _function(code: CodeType, line: int) -> str:
    name = COMPREHENSION.sub("", code.co_qualname)  # which are functions of their own until Python 3.11
    return f"{code.co_filename.removeprefix(PACKAGE)}, {name}"


def _place_in_words(code: CodeType, line: int) -> str:
    return f"{_function(code, line)}: {linecache.getline(code.co_filename, line).strip()}"


def place() -> str:
    """The innermost line of the package that is being executed."""
    lines = _lines_of_the_package()
    return _place_in_words(*lines[0]) if lines else "elsewhere"


class PretendedTensor(torch.Tensor):
    """A tensor of the pretended device; ``values`` is where its numbers are.

    C++ is told that it lies on ``meta``, for which autograd asks no driver; everything that Python sees says ``cuda``.
    """

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "PretendedTensor":
        dense = values.layout == torch.strided
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride() if dense else None,
            storage_offset=values.storage_offset() if dense else None,
            dtype=values.dtype,
            device=torch.device("meta"),
            # So that C++ casts what Python's autocast for CUDA asks for.
            _extra_dispatch_keys=torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA),
        )
        made.values = values
        return made

    def __init__(self, values: Tensor) -> None: ...

    __torch_function__ = torch._C._disabled_torch_function_impl

    device = property(lambda self: CUDA)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(function, args, kwargs or {})

    def __repr__(self) -> str:
        return f"PretendedTensor({self.values!r})"

    # Modules are moved by exchanging tensors, for which these two are asked.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["values"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], meta: Any, size: Any, stride: Any) -> "PretendedTensor":
        return PretendedTensor(inner["values"])

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"can't convert cuda:0 device type tensor to numpy ({place()})")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def get_device(self) -> int:
        return 0

    def tolist(self) -> Any:
        seen[-1].wait("numbers read")
        return self.detach().values.tolist()

    # C++ would bring the CPU's indices to `meta`, where they have no values.
    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_on_device(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_on_device(key), value)

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        made = torch.as_tensor(data, dtype=dtype or self.dtype).clone().to(device or CUDA)
        return made.requires_grad_(requires_grad)


def on_pretended(device: Any) -> bool:
    """Whether a device is the pretended one, by either of its names."""
    return device is not None and torch.device(device).type in ("cuda", "meta")


def pretended(values: Any) -> Any:
    """A tensor of the CPU on the pretended device; anything else as it is."""
    return PretendedTensor(values) if isinstance(values, Tensor) and not isinstance(values, PretendedTensor) else values


def real(given: Any) -> Any:
    """The values of a pretended tensor; anything else as it is."""
    return given.values if isinstance(given, PretendedTensor) else given


def _on_device(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_on_device(part) for part in key)
    if isinstance(key, list) or (isinstance(key, Tensor) and not isinstance(key, PretendedTensor) and key.dim()):
        seen[-1].wait("indices of the CPU sent")
        return PretendedTensor(torch.as_tensor(key))
    return key


def computed(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What an operation gives, on the device that CUDA would give it on.

    Raises:
        RuntimeError: CUDA would refuse it, in such words.
        torch.OutOfMemoryError: it takes more than ``Seen.at_most``.
    """
    name = function.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    here = any(isinstance(tensor, PretendedTensor) for tensor in tensors)
    if not here and not on_pretended(kwargs.get("device")):
        return function(*args, **kwargs)
    seen[-1].operations[name] += 1
    _refuse_the_cpus(name, args, kwargs, tensors if here else [])
    if name == "_to_copy":
        return _moved(function, args, kwargs)
    if name == "copy_":
        if isinstance(args[0], PretendedTensor) != isinstance(args[1], PretendedTensor):
            _note_copy(args[1], bool(args[2] if len(args) > 2 else kwargs.get("non_blocking")))
        function(real(args[0]), real(args[1]), *args[2:], **kwargs)
        return args[0]
    _note_waits(name, args)
    if _has_no_order(name, args):
        seen[-1].unordered[f"{place()}: {name}"] += 1
    _refuse_what_is_too_large(name, args)
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = function(*tree_map(real, args), **tree_map(real, kwargs))
    return found if name == "_local_scalar_dense" else _in_place_or_new(function, args, kwargs, found)


def _refuse_the_cpus(name: str, args: Sequence[Any], kwargs: dict[str, Any], tensors: Sequence[Tensor]) -> None:
    """Refuse a generator of the CPU, and its tensors beside those of the device; a single number may be of the CPU."""
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' ({name}, {place()})")
    if name in INDEXING and tensors and not isinstance(args[0], PretendedTensor):
        raise RuntimeError(f"indices should be on the same device as the indexed tensor (cpu) ({name}, {place()})")
    if name in TAKES_CPU_TENSORS:
        return
    for tensor in tensors:
        if not isinstance(tensor, PretendedTensor) and (tensor.dim() or isinstance(args[0], list | tuple)):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                f"({name} of {tuple(tensor.shape)}, {place()})"
            )


def _note_waits(name: str, args: Sequence[Any]) -> None:
    if name in WAITS:
        seen[-1].wait(WAITS[name])
    if name in INDEXING:
        # A single number is written through a mask without asking how many places there are.
        one_number = name.startswith(("index_put", "_index_put")) and args[2].numel() == 1
        for index in args[1]:
            if index is not None and index.dtype in (torch.bool, torch.uint8) and not one_number:
                seen[-1].wait("a mask as an index")
            elif index is not None and not isinstance(index, PretendedTensor):
                seen[-1].wait("indices of the CPU sent")


def _has_no_order(name: str, args: Sequence[Any]) -> bool:
    """Whether CUDA would compute an operation in no fixed order, as torch is set now."""
    if name in UNORDERED or (name.startswith("nll_loss2d") and _reduction(name, args) != "none"):
        return True
    if name in ("mm", "addmm") and any(isinstance(x, Tensor) and real(x).layout != torch.strided for x in args):
        return True  # cuSPARSE promises an order for other forms of the product than torch's
    if torch.are_deterministic_algorithms_enabled():
        return False  # an accumulating index_put then sorts first
    if name == "cumsum":
        return bool(args[0].is_floating_point())
    adds = name in ("index_put", "index_put_", "_index_put_impl_") and len(args) > 3 and args[3]
    return bool(adds) or name in UNORDERED_BY_DEFAULT


def _reduction(name: str, args: Sequence[Any]) -> str:
    """How a loss per pixel is put together: the argument's place differs between the way there and the way back."""
    number = args[3] if name == "nll_loss2d_forward" else args[4]
    return ("none", "mean", "sum")[number]


def _refuse_what_is_too_large(name: str, args: Sequence[Any]) -> None:
    if name != "convolution":
        return
    limit, seen[-1].largest = seen[-1].at_most, max(seen[-1].largest, args[0].numel())
    if limit is not None and args[0].numel() > limit:
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {args[0].numel()} numbers.")


def _moved(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    source = args[0]
    device = kwargs.get("device")
    there = isinstance(source, PretendedTensor) if device is None else on_pretended(device)
    if there != isinstance(source, PretendedTensor):
        _note_copy(source, bool(kwargs.get("non_blocking")))
    kept = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking", "pin_memory")}
    found = function(real(source), **kept)
    found = found.clone() if found is real(source) else found
    return PretendedTensor(found) if there else found


def _note_copy(source: Tensor, asynchronous: bool) -> None:
    """Note the wait for a copy between the devices, unless it takes place by itself."""
    if not source.numel():
        return
    if isinstance(source, PretendedTensor):
        if not asynchronous:
            seen[-1].wait("copied to the host")
    elif not (asynchronous and source.is_pinned()):
        seen[-1].wait("sent from pageable memory" if asynchronous else "sent to the device")


def _in_place_or_new(function: Any, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> Any:
    """Wrap what was computed; what was changed in place is the tensor that was given."""
    changed = {}
    for position, argument in enumerate(function._schema.arguments):
        given = args[position] if position < len(args) else kwargs.get(argument.name)
        if argument.alias_info is not None and argument.alias_info.is_write and isinstance(given, PretendedTensor):
            assert given.shape == given.values.shape, f"{function} changes a tensor's shape in place"
            changed[id(given.values)] = given
    return tree_map(lambda made: changed.get(id(made), pretended(made)), found)
