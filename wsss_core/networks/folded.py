"""A copy of a network for use, which computes the same function in fewer operations.

In evaluation mode, batch normalisation after a convolution is an affine map of each channel, and can be part of the
convolution. The result only changes by rounding; in float32 AdvCAM's first gradient changes by some thousandths, so
exactness is tested in float64.
"""

import copy
import itertools
from collections import Counter
from typing import TypeVar

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.segmentation.deeplabv3 import ASPPConv, ASPPPooling
from torchvision.ops import Conv2dNormActivation

from wsss_core.networks.fused_blocks import fuse_blocks
from wsss_core.networks.resnet import ResNetTrunk
from wsss_core.networks.resnet38 import BottleneckBlock, ResidualBlock
from wsss_core.networks.timm_trunk import TimmTrunk
from wsss_core.networks.vgg16 import Vgg16Trunk

Network = TypeVar("Network", bound=nn.Module)

FOLDABLE: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    ResNetTrunk: (("conv1", "bn1"),),
    BasicBlock: (("conv1", "bn1"), ("conv2", "bn2"), ("downsample.0", "downsample.1")),
    Bottleneck: (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("downsample.0", "downsample.1")),
    # ResNet-38 normalises before it convolves: the norms at a block's entry, whose input is also the
    # shortcut, and the last norm cannot be folded into a convolution.
    ResidualBlock: (("conv_branch2a", "bn_branch2b1"),),
    BottleneckBlock: (("conv_branch2a", "bn_branch2b1"), ("conv_branch2b1", "bn_branch2b2")),
}
"""Convolutions, and the batch normalisation that is the only use of their output, by the module that holds both.

Only these classes, without subclasses, which may connect their layers differently."""
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
        if type(part) is TimmTrunk:
            for convolution, norm in observed_pairs(part):
                _fold(part, convolution, norm)
    folded = folded.to(memory_format=torch.channels_last)
    return fuse_blocks(folded) if by_hand else folded


def observed_pairs(trunk: TimmTrunk) -> list[tuple[str, str]]:
    """Names of a trunk's convolutions and of the batch normalisation after each, found by running the trunk.

    timm's families connect their layers in many ways, so the trunk runs on one image. A pair counts if both layers ran
    once. Whether something else uses a convolution's output before its norm is not visible; no family in timm does so,
    and the tests compare folded trunks with the original ones.
    """
    made: dict[int, str] = {}
    outputs: list[Tensor] = []  # kept, so that no other tensor gets the id of one of them
    calls: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []

    def remember(name: str, output: Tensor) -> None:
        calls[name] += 1
        outputs.append(output)
        made[id(output)] = name

    def match(name: str, given: tuple[Tensor, ...]) -> None:
        calls[name] += 1
        if id(given[0]) in made:
            pairs.append((made[id(given[0])], name))

    hooks = []
    for name, part in trunk.named_modules():
        if isinstance(part, nn.Conv2d):
            hooks.append(part.register_forward_hook(lambda _, given, output, name=name: remember(name, output)))
        elif isinstance(part, nn.BatchNorm2d):
            hooks.append(part.register_forward_pre_hook(lambda _, given, name=name: match(name, given)))
    weight = next(trunk.parameters())
    with torch.no_grad():
        trunk(weight.new_zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return [(convolution, norm) for convolution, norm in pairs if calls[convolution] == calls[norm] == 1]


def _pairs(part: nn.Module) -> tuple[tuple[str, str], ...]:
    """The names of layers that can be folded in a module, without those inside its parts."""
    if type(part) is Vgg16Trunk:
        names = [name for name, _ in part.named_children() if name.startswith("conv")] if part.batch_norm else []
        return tuple((name, name.replace("conv", "bn")) for name in names)
    if type(part) in IN_SEQUENCE:
        return tuple(itertools.pairwise(name for name, _ in part.named_children()))
    pairs = FOLDABLE.get(type(part), ())
    shortcut = getattr(part, "downsample", None)
    return tuple(pair for pair in pairs if shortcut is not None or not pair[0].startswith("downsample"))


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
