"""Resizing and pooling with gradients in a fixed order, beside torch's own."""

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from wsss_core.networks.resizing import (
    bicubic_matrix,
    pooled_to_grid,
    pooling_matrix,
    resized,
    resized_bicubic,
    resizing_matrix,
    with_ordered_gradient,
)

CPU = torch.device("cpu")
SIZES = [((3, 5), (7, 4)), ((8, 8), (8, 8)), ((1, 1), (6, 3)), ((9, 6), (2, 1)), ((47, 63), (375, 500))]
FACTORS = [0.5, 0.75, 2, 4, 1.3]


def maps_of(size, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, *size, dtype=dtype, generator=generator).requires_grad_()


def gradients(function, maps, ordered):
    """The gradients of torch's own function and of the ordered one, for the same random gradient of the result."""
    result = function(maps)
    given = torch.randn(result.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(result)
    (own,) = torch.autograd.grad(result, maps, given)
    again = with_ordered_gradient(maps, function, *ordered)
    (other,) = torch.autograd.grad(again, maps, given)
    assert torch.equal(again, result)
    return own, other


@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_the_gradient_of_resizing_to_a_size_is_torchs(given, wanted):
    def function(maps):
        return functional.interpolate(maps, wanted, mode="bilinear", align_corners=False)

    matrices = [resizing_matrix(old, new, old / new, CPU) for old, new in zip(given, wanted, strict=True)]
    maps = maps_of(given)
    assert torch.allclose(matrices[0] @ maps @ matrices[1].T, function(maps), rtol=0, atol=1e-12)
    own, other = gradients(function, maps, matrices)
    assert torch.allclose(own, other, rtol=0, atol=1e-10)


# On the CPU, torch's antialiased form gives the first row again and again if the result has one column.
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("given", "wanted"), [((9, 6), (2, 3)) if w == (2, 1) else (g, w) for g, w in SIZES])
def test_the_gradient_of_bicubic_resizing_is_torchs(given, wanted, antialias):
    def function(maps):
        return functional.interpolate(maps, wanted, mode="bicubic", antialias=antialias, align_corners=False)

    matrices = [bicubic_matrix(old, new, antialias, CPU) for old, new in zip(given, wanted, strict=True)]
    maps = maps_of(given)
    assert torch.equal(resized_bicubic(maps, wanted, antialias), function(maps))
    assert torch.allclose(matrices[0] @ maps @ matrices[1].T, function(maps), rtol=0, atol=1e-12)
    own, other = gradients(function, maps, matrices)
    assert torch.allclose(own, other, rtol=0, atol=1e-10)


class Tf32OfProducts(TorchDispatchMode):
    """Notes whether products of matrices would be computed in TF32."""

    def __init__(self):
        super().__init__()
        self.allowed = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.bmm):
            self.allowed.append(torch.backends.cuda.matmul.allow_tf32)
        return function(*args, **(kwargs or {}))


def test_ordered_gradients_of_float32_are_not_rounded_to_tf32(monkeypatch):
    maps = maps_of((4, 4), torch.float32)
    matrix = resizing_matrix(4, 8, 0.5, CPU)
    result = with_ordered_gradient(maps, lambda given: resized(given, (8, 8)), matrix, matrix)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    with Tf32OfProducts() as seen:
        torch.autograd.grad(result, maps, torch.ones_like(result))
    assert seen.allowed == [False, False] and torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("factor", FACTORS)
def test_the_gradient_of_resizing_by_a_factor_is_torchs(factor):
    def function(maps):
        return functional.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)

    maps = maps_of((13, 22))
    matrices = [resizing_matrix(side, int(side * factor), 1 / factor, CPU) for side in (13, 22)]
    own, other = gradients(function, maps, matrices)
    assert torch.allclose(own, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (3, 2), (56, 41)])
@pytest.mark.parametrize("cells", [1, 2, 4, 16])
def test_the_gradient_of_pooling_is_torchs(size, cells):
    def function(maps):
        return functional.adaptive_avg_pool2d(maps, cells)

    own, other = gradients(function, maps_of(size), [pooling_matrix(side, cells, CPU) for side in size])
    assert torch.allclose(own, other, rtol=0, atol=1e-12)


def test_gradients_of_bfloat16_are_summed_in_float32():
    maps = maps_of((6, 6), torch.bfloat16)
    function = resizing_matrix(6, 60, 0.1, CPU), resizing_matrix(6, 60, 0.1, CPU)
    result = with_ordered_gradient(maps, lambda given: resized(given, (60, 60)), *function)
    (found,) = torch.autograd.grad(result, maps, torch.ones_like(result))
    assert found.dtype == torch.bfloat16
    precise = function[0].sum(dim=0)[:, None] * function[1].sum(dim=0)
    assert torch.equal(found, precise.float().to(torch.bfloat16).expand(2, 3, 6, 6))


def test_on_the_cpu_torchs_own_are_used():
    maps = maps_of((4, 4))
    torch.use_deterministic_algorithms(True)
    try:
        assert "Upsample" in type(resized(maps, (8, 8)).grad_fn).__name__
        assert "AdaptiveAvgPool2D" in type(pooled_to_grid(maps, 2).grad_fn).__name__
    finally:
        torch.use_deterministic_algorithms(False)
