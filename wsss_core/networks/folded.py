"""A copy of a network for use, which computes the same function in fewer operations.

In evaluation mode, batch normalisation after a convolution is an affine map of each channel, and can be part of the
convolution. The result only changes by rounding; in float32 AdvCAM's first gradient changes by some thousandths, so
exactness is tested in float64.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.segmentation.deeplabv3 import ASPPConv, ASPPPooling
from torchvision.ops import Conv2dNormActivation

from wsss_core.networks.fused_blocks import fuse_blocks

Network = TypeVar("Network", bound=nn.Module)

FOLDABLE: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2"), ("downsample.0", "downsample.1")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("downsample.0", "downsample.1")),
}
"""For torchvision's blocks, their convolutions, and the batch normalisation that is the only use of their output.

The package's own classes name such layers in their method ``foldable_layers``. All this is only for the classes
themselves, without subclasses, which may connect their layers differently."""
IN_SEQUENCE = (nn.Sequential, Conv2dNormActivation, ASPPConv, ASPPPooling)
"""Classes that call their layers one after the other; only these, without subclasses."""


def folded_for_inference(network: Network, by_hand: bool = True) -> Network:
    """A copy in evaluation mode, channels-last, with weights without gradients, and norms folded into convolutions.

    Parts of other classes are copied unchanged.

    Args:
        network: a classifier, a segmenter or any other network; it does not change.
        by_hand: on CPUs, turn residual blocks into :class:`~wsss_core.networks.fused_blocks.FusedBlock`, which does
            not support autocast.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for part in list(folded.modules()):
        for convolution, norm in _pairs(part):
            _fold(part, convolution, norm)
    folded = folded.to(memory_format=torch.channels_last)
    return fuse_blocks(folded) if by_hand else folded


def _pairs(part: nn.Module) -> Sequence[tuple[str, str]]:
    """The names of layers that can be folded in a module, without those inside its parts."""
    if own := vars(type(part)).get("foldable_layers"):
        return own(part)  # type: ignore[no-any-return]
    if type(part) in IN_SEQUENCE:
        return list(itertools.pairwise(name for name, _ in part.named_children()))
    pairs = FOLDABLE.get(type(part), ())
    shortcut = getattr(part, "downsample", None)
    return [pair for pair in pairs if shortcut is not None or not pair[0].startswith("downsample")]


def _fold(part: nn.Module, convolution_name: str, norm_name: str) -> None:
    """Fold a norm into the convolution before it, computed in float64.

    The norm is replaced by an identity, or by its activation, if it has one (timm's ``BatchNormAct2d``).
    """
    convolution, norm = part.get_submodule(convolution_name), part.get_submodule(norm_name)
    if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None):
        return
    assert norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()  # (C,)
    offset = -norm.running_mean.double() * factor
    if norm.affine:
        factor, offset = factor * norm.weight.double(), offset * norm.weight.double() + norm.bias.double()
    if convolution.bias is not None:
        offset = offset + convolution.bias.double() * factor
    weight = convolution.weight.double() * factor[:, None, None, None]
    convolution.weight = nn.Parameter(weight.to(convolution.weight), requires_grad=False)
    convolution.bias = nn.Parameter(offset.to(convolution.weight), requires_grad=False)
    owner, _, name = norm_name.rpartition(".")
    setattr(part.get_submodule(owner), name, getattr(norm, "act", nn.Identity()))
