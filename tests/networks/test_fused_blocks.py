"""Layer by layer against autograd: float64 without oneDNN's fused convolutions, float32 with them."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsss_core.networks.fused_blocks import FixedConvolution, FusedBlock, fuse_blocks, has_fused_convolutions

LARGEST = {torch.float64: 1e-11, torch.float32: 2e-4}
CONVOLUTIONS = {
    "1x1": nn.Conv2d(6, 4, 1),
    "3x3": nn.Conv2d(5, 7, 3, padding=1),
    "3x3, no bias": nn.Conv2d(5, 7, 3, padding=1, bias=False),
    "dilated": nn.Conv2d(5, 7, 3, padding=2, dilation=2),
    "strided": nn.Conv2d(5, 7, 3, stride=2, padding=1),
    "strided and dilated": nn.Conv2d(5, 7, 3, stride=2, padding=2, dilation=2),
    "strided 1x1": nn.Conv2d(6, 4, 1, stride=2),
    "5x3": nn.Conv2d(3, 4, (5, 3), padding=(2, 1)),
    "smaller output": nn.Conv2d(3, 4, 3),
}


def block(kind: type, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """A block as :mod:`wsss_core.networks.folded` leaves it."""
    outputs = width * kind.expansion
    shortcut = None
    if inputs != outputs or stride != 1:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.Identity())
    made = kind(inputs, width, stride, shortcut)
    for number in (1, 2, 3)[: 3 if kind is Bottleneck else 2]:
        old = made.get_submodule(f"conv{number}")
        padding = old.padding
        if old.kernel_size == (3, 3) and old.stride == (1, 1):
            padding = (dilation, dilation)
        geometry = {"stride": old.stride, "padding": padding, "dilation": padding if padding != (0, 0) else 1}
        setattr(made, f"conv{number}", nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, **geometry))
        setattr(made, f"bn{number}", nn.Identity())
    return made.requires_grad_(False)


BLOCKS = {
    "basic": (BasicBlock, 6, 6),
    "basic, strided": (BasicBlock, 6, 8, 2),
    "basic, dilated": (BasicBlock, 6, 6, 1, 2),
    "bottleneck": (Bottleneck, 16, 4),
    "bottleneck, wider": (Bottleneck, 6, 4),
    "bottleneck, strided": (Bottleneck, 16, 4, 2),
    "bottleneck, dilated": (Bottleneck, 16, 4, 1, 4),
}
SIZES = [(1, 1), (1, 9), (8, 12), (13, 7)]
DTYPES = [torch.float64, torch.float32]


def random(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return values.contiguous(memory_format=torch.channels_last)


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=LARGEST[found.dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [(7, 7), (8, 12), (13, 9)], ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("with_added", [True, False])
def test_a_convolution_and_its_input_gradient(name, size, dtype, rectified, with_added):
    convolution = CONVOLUTIONS[name].to(dtype)
    fixed = FixedConvolution(convolution)
    given = random((2, convolution.in_channels, *size), dtype, 0).requires_grad_()
    expected = convolution(given)
    added = random(tuple(expected.shape), dtype, 1) if with_added else None
    kept = None if added is None else added.clone()
    outside = expected if added is None else expected + added
    with torch.no_grad():
        assert_near(fixed(given, added, rectified), outside.relu() if rectified else outside)
    gradient = random(tuple(expected.shape), dtype, 2)
    past = random(tuple(given.shape), dtype, 3) if with_added else None
    (expected_gradient,) = torch.autograd.grad(expected, given, gradient)
    if past is not None:
        expected_gradient = expected_gradient + past
    assert_near(fixed.input_gradient(gradient, given.detach(), past), expected_gradient)
    assert added is None or torch.equal(added, kept)
    assert past is None or torch.equal(past, random(tuple(given.shape), dtype, 3))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_and_its_input_gradient(name, size, dtype):
    torch.manual_seed(3)
    plain = block(*BLOCKS[name]).to(dtype)
    fused = FusedBlock(plain)
    # As behind a ReLU, zeros among them; not channels-last.
    given = random((2, BLOCKS[name][1], *size), dtype, 0).relu().contiguous().requires_grad_()
    kept = given.detach().clone()
    expected, found = plain(given), fused(given)
    assert_near(found, expected)
    for seed in (1, 2):  # twice: classes share a forward pass
        gradient = random(tuple(expected.shape), dtype, seed).contiguous()
        before = gradient.clone()
        (own,) = torch.autograd.grad(found, given, gradient, retain_graph=True)
        assert_near(own, torch.autograd.grad(expected, given, gradient, retain_graph=True)[0])
        assert torch.equal(gradient, before)
    assert torch.equal(given, kept)
    with torch.inference_mode():
        assert_near(fused(kept), expected.detach())


@pytest.mark.parametrize("fused", [torch.float32, torch.float64, torch.bfloat16, False])
def test_blocks_of_all_depths_are_fused(fused):
    layer = nn.Sequential(block(*BLOCKS["basic"]), nn.Sequential(block(*BLOCKS["basic, dilated"])))
    fuse_blocks(layer.to(fused or torch.float16))
    assert isinstance(layer[0], FusedBlock) == isinstance(layer[1][0], FusedBlock) == bool(fused)


def test_float32_has_the_fused_convolutions_here():
    """If torch renames them, nothing else would tell but the clock."""
    assert has_fused_convolutions(torch.zeros(1, 3, 2, 2)) == torch.backends.mkldnn.is_available()
    assert not has_fused_convolutions(torch.zeros(1, 3, 2, 2, dtype=torch.float64))
    for size in ((1, 1), (1, 9), (9, 1)):
        assert not has_fused_convolutions(torch.zeros(1, 3, *size))


def test_what_is_no_folded_plain_block_is_left_alone():
    class Other(BasicBlock):
        pass

    layer = nn.Sequential(
        BasicBlock(6, 6), block(Other, 6, 6), Bottleneck(16, 4, groups=2, norm_layer=lambda channels: nn.Identity())
    )
    kinds = [type(part) for part in layer]
    assert [type(part) for part in fuse_blocks(layer)] == kinds
