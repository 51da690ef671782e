"""Bilinear and bicubic resizing, and adaptive pooling, with deterministic gradients on request.

torch sums up their gradients on CUDA in an order that differs between runs. They are linear and separable: the result
is ``R X C'`` for a matrix R over rows and a matrix C over columns, so the gradient is ``R' G C``, two products of
matrices in a fixed order. This gradient replaces torch's if ``torch.use_deterministic_algorithms`` is on; the forward
pass is always torch's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def resized(maps: Tensor, size: Sequence[int] | None = None, scale_factor: float | None = None) -> Tensor:
    """Maps at another size, by bilinear interpolation between the centres of cells (``align_corners=False``).

    Args:
        maps: (B, C, h, w).
        size: height and width of the result.
        scale_factor: instead of ``size``: the result has ``floor(h * scale_factor)`` rows, and columns likewise.

    Returns:
        (B, C, *size), with the same dtype.
    """
    if not _in_fixed_order(maps):
        chosen = None if size is None else tuple(size)
        return functional.interpolate(maps, chosen, scale_factor, mode="bilinear", align_corners=False)
    factors = None if scale_factor is None else [float(scale_factor)] * 2

    def compute(given: Tensor) -> Tensor:
        # Not by `interpolate`, which then uses another, slower form, whose results are rounded differently.
        found: Tensor = torch.ops.aten.upsample_bilinear2d.vec(given, size, False, factors)
        return found

    if not (maps.requires_grad and torch.is_grad_enabled()):
        return compute(maps)
    wanted = [int(side * scale_factor) for side in maps.shape[2:]] if scale_factor is not None else size
    assert wanted is not None
    rows, columns = (
        resizing_matrix(side, new, 1 / scale_factor if scale_factor else side / new, maps.device)
        for side, new in zip(maps.shape[2:], wanted, strict=True)
    )
    return with_ordered_gradient(maps, compute, rows, columns)


def resized_bicubic(maps: Tensor, size: Sequence[int], antialias: bool = False) -> Tensor:
    """Maps at another size, by bicubic interpolation between the centres of cells (``align_corners=False``).

    Args:
        maps: (B, C, h, w).
        size: height and width of the result.
        antialias: whether all cells under a cell of the result count, as in Pillow.

    Returns:
        (B, C, *size), with the same dtype.
    """

    def compute(given: Tensor) -> Tensor:
        return _bicubic(given, tuple(size), antialias)

    if not (_in_fixed_order(maps) and maps.requires_grad and torch.is_grad_enabled()):
        return compute(maps)
    sides = zip(maps.shape[2:], size, strict=True)
    rows, columns = (bicubic_matrix(given, wanted, antialias, maps.device) for given, wanted in sides)
    return with_ordered_gradient(maps, compute, rows, columns)


def pooled_to_grid(maps: Tensor, cells: int) -> Tensor:
    """The means of maps (B, C, h, w) over a grid of ``cells`` by ``cells`` (may overlap): (B, C, cells, cells)."""

    def compute(given: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(given, cells)

    if not (_in_fixed_order(maps) and maps.requires_grad and torch.is_grad_enabled()):
        return compute(maps)
    rows, columns = (pooling_matrix(side, cells, maps.device) for side in maps.shape[2:])
    return with_ordered_gradient(maps, compute, rows, columns)


def resizing_matrix(given: int, wanted: int, step: float, device: torch.device) -> Tensor:
    """The matrix of bilinear interpolation along one axis.

    Args:
        given: number of cells in the input.
        wanted: number of cells in the result.
        step: cells of the input for each cell of the result.
        device: the matrix's device.

    Returns:
        float64 (wanted, given); rows sum to 1.
    """
    places = ((torch.arange(wanted, dtype=torch.float64, device=device) + 0.5) * step - 0.5).clamp(0, given - 1)
    cells = torch.arange(given, dtype=torch.float64, device=device)
    return (1 - (places[:, None] - cells).abs()).clamp(min=0)


@lru_cache(maxsize=64)  # every training step needs the same ones
def bicubic_matrix(given: int, wanted: int, antialias: bool, device: torch.device) -> Tensor:
    """The matrix of bicubic interpolation along one axis: float64 (wanted, given); rows sum to 1."""
    unit = torch.eye(given, dtype=torch.float64)[None, None]  # only its rows are interpolated
    return _bicubic(unit, (wanted, given), antialias)[0, 0].to(device)


def _bicubic(maps: Tensor, size: tuple[int, ...], antialias: bool) -> Tensor:
    return functional.interpolate(maps, size, mode="bicubic", antialias=antialias, align_corners=False)


def pooling_matrix(given: int, cells: int, device: torch.device) -> Tensor:
    """The matrix of adaptive average pooling along one axis: float64 (cells, given); rows sum to 1."""
    numbers, places = torch.arange(cells, device=device), torch.arange(given, device=device)
    starts = numbers * given // cells
    ends = ((numbers + 1) * given + cells - 1) // cells
    inside = (places >= starts[:, None]) & (places < ends[:, None])
    return inside / (ends - starts)[:, None].double()


def with_ordered_gradient(maps: Tensor, compute: Callable[[Tensor], Tensor], rows: Tensor, columns: Tensor) -> Tensor:
    """A linear, separable function of maps, differentiable once, with a deterministic gradient.

    Args:
        maps: (B, C, h, w).
        compute: the function; except for rounding, its result is ``rows @ maps @ columns.T``.
        rows: float64 (h', h).
        columns: float64 (w', w).

    Returns:
        (B, C, h', w'), the result of ``compute``.
    """
    return _OrderedGradient.apply(maps, compute, rows, columns)  # type: ignore[no-any-return,no-untyped-call]


class _OrderedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, compute: Callable[[Tensor], Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(rows, columns)
        ctx.dtype = maps.dtype
        return compute(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        rows, columns = ctx.saved_tensors
        # Sums of bfloat16 are computed in float32, as in convolutions.
        precise = torch.promote_types(gradient.dtype, torch.float32)
        with torch.autocast(gradient.device.type, enabled=False), _without_tf32():
            found = rows.to(precise).T @ (gradient.to(precise) @ columns.to(precise))
        return found.to(ctx.dtype), None, None, None


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Multiply float32 matrices without TF32: torch's gradients, which they replace, are never rounded to TF32."""
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, False
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def _in_fixed_order(maps: Tensor) -> bool:
    """Whether deterministic algorithms are requested on a device that needs them."""
    return maps.device.type != "cpu" and torch.are_deterministic_algorithms_enabled()
