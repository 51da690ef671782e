"""Residual blocks for class maps on CPUs, with oneDNN's fused convolutions and a manual backward pass.

This module only makes the computation faster; only :func:`~wsss_core.networks.folded.folded_for_inference` uses it.

A block whose norms are folded consists of convolution + bias + ReLU two or three times, where the shortcut is added
before the last ReLU. oneDNN computes each in one pass over memory. torch has these operations (``torch.ops.mkldnn``,
for its compiler) without gradients. With fixed weights, the gradient of the input is simple: for a ReLU it is a mask,
which follows from its output; for a convolution with stride 1 it is the convolution with the mirrored, transposed
weights. Small 1x1 convolutions gain most: on a single thread, torch computes them by a plain matrix product instead of
oneDNN, which takes twice as long with MKL on an AMD processor.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

FUSED_FORMATS = (torch.float32, torch.float64, torch.bfloat16)
"""Dtypes of blocks that are replaced; in float64 this is not faster, but tests can show that the backward pass is
exact."""


class FixedConvolution:
    """A convolution with fixed weights: the forward pass with its activation, and the gradient of its input."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Copy weights and geometry.

        Args:
            convolution: not grouped, padded with zeros.
        """
        self.weight, self.bias = convolution.weight.detach(), convolution.bias
        self.stride, self.dilation = list(convolution.stride), list(convolution.dilation)
        self.padding = [int(cells) for cells in convolution.padding]
        self.mirrored: Tensor | None = None
        reach = [d * (k - 1) for d, k in zip(self.dilation, convolution.kernel_size, strict=True)]
        if self.stride == [1, 1] and [2 * cells for cells in self.padding] == reach:  # keeps the size
            mirrored = self.weight.flip(2, 3).transpose(0, 1)
            self.mirrored = mirrored.contiguous(memory_format=torch.channels_last)

    def __call__(self, given: Tensor, added: Tensor | None = None, rectified: bool = True) -> Tensor:
        """The convolution (B, C', h', w') of ``given`` (B, C, h, w), plus bias and ``added``, rectified."""
        return self._convolved(given, self.weight, self.bias, self.stride, added, rectified)

    def input_gradient(self, gradient: Tensor, given: Tensor, added: Tensor | None = None) -> Tensor:
        """The gradient of the input ``given`` (B, C, h, w), from that of the convolution's output, plus ``added``."""
        if self.mirrored is not None:
            return self._convolved(gradient, self.mirrored, None, [1, 1], added, rectified=False)
        found = torch.ops.aten.convolution_backward(
            gradient, given, self.weight, None, self.stride, self.padding, self.dilation,
            False, [0, 0], 1, [True, False, False],
        )[0]  # fmt: skip
        return found if added is None else found + added

    def _convolved(
        self,
        given: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: list[int],
        added: Tensor | None,
        rectified: bool,
    ) -> Tensor:
        geometry = (self.padding, stride, self.dilation, 1)
        if not has_fused_convolutions(given):
            found = torch.conv2d(given, weight, bias, stride, self.padding, self.dilation)
            found = found if added is None else found + added
            return found.relu_() if rectified else found
        activation = "relu" if rectified else "none"
        if added is None:
            return torch.ops.mkldnn._convolution_pointwise(given, weight, bias, *geometry, activation, [], "")
        return torch.ops.mkldnn._convolution_pointwise.binary(
            given, added, weight, bias, *geometry, "add", 1.0, activation if rectified else None, [], None
        )


def has_fused_convolutions(given: Tensor) -> bool:
    """Whether oneDNN's fused convolutions support this tensor.

    It has to be on a CPU, with a torch that has these operations, float32, or bfloat16 if the processor supports it;
    and have more than one row and column, because torch 2.11 fails on a single one.
    """
    return (
        given.device.type == "cpu"
        and min(given.shape[2:]) > 1
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (given.dtype == torch.float32 or (given.dtype == torch.bfloat16 and _processor_has_bfloat16()))
    )


@cache
def _processor_has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _Block(torch.autograd.Function):
    """The block as one operation, with a gradient of its input only."""

    @staticmethod
    def forward(
        ctx: Any, entered: Tensor, convolutions: Sequence[FixedConvolution], shortcut: FixedConvolution | None
    ) -> Tensor:
        inputs = [entered]  # of the convolutions; all but the first are outputs of a ReLU
        for convolution in convolutions[:-1]:
            inputs.append(convolution(inputs[-1]))
        added = entered if shortcut is None else shortcut(entered, rectified=False)
        output = convolutions[-1](inputs[-1], added)
        ctx.save_for_backward(*inputs, output)
        ctx.convolutions, ctx.shortcut = convolutions, shortcut
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        *inputs, output = ctx.saved_tensors
        at_sum = torch.ops.aten.threshold_backward(gradients[0], output, 0)
        gradient = at_sum
        for convolution, given in zip(reversed(ctx.convolutions[1:]), reversed(inputs[1:]), strict=True):
            gradient = _behind_relu_(convolution.input_gradient(gradient, given), given)
        past = at_sum if ctx.shortcut is None else ctx.shortcut.input_gradient(at_sum, inputs[0])
        return ctx.convolutions[0].input_gradient(gradient, inputs[0], past), None, None


def _behind_relu_(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient before a ReLU, from that after it and from its output; in place, which takes half the time."""
    return torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


class FusedBlock(nn.Module):
    """A folded block of a residual network as one operation, with fixed weights, on a fixed device."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        """Use a block's convolutions.

        Args:
            block: its batch norms are folded into its convolutions.
        """
        super().__init__()
        names = ("conv1", "conv2", "conv3") if isinstance(block, Bottleneck) else ("conv1", "conv2")
        self.convolutions = [FixedConvolution(cast(nn.Conv2d, block.get_submodule(name))) for name in names]
        self.shortcut = None if block.downsample is None else FixedConvolution(block.downsample[0])

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C', h', w'), differentiable once, with respect to ``features`` only."""
        # Gradients have other memory formats, and so may features with a single row or channel.
        features = features.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, _Block.apply(features, self.convolutions, self.shortcut))


def fuse_blocks(network: nn.Module) -> Any:
    """Replace the folded residual blocks of a network on a CPU, in place; others do not change.

    Returns:
        The network.
    """
    for part in list(network.modules()):
        for name, block in list(part.named_children()):
            if type(block) in (BasicBlock, Bottleneck) and _can_be_fused(cast(BasicBlock, block)):
                setattr(part, name, FusedBlock(cast(BasicBlock, block)))
    return network


def _can_be_fused(block: BasicBlock | Bottleneck) -> bool:
    if block.conv1.weight.device.type != "cpu" or block.conv1.weight.dtype not in FUSED_FORMATS:
        return False
    layers = [layer for layer in block.modules() if not list(layer.children())]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    return all(isinstance(layer, nn.Conv2d | nn.Identity | nn.ReLU) for layer in layers) and all(
        layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        for layer in convolutions
    )
