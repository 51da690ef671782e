"""The authors' names for the weights of our networks.

All functions convert our names to theirs, so that a file can be checked for every weight that a network needs.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import product

from torchvision.models import get_model

from wsss_core.networks.deeplabv2 import our_name as own_name_of_deeplab
from wsss_core.networks.imagenet_weights import trunk_from_torchvision
from wsss_core.networks.irn import own_name as own_name_of_irn
from wsss_core.networks.resnet import LAYERS

Naming = Callable[[str], str]
"""Converts the name of a weight in our state dict to the authors'. A name without a counterpart becomes one that their
files do not have."""

IRN_CLASSIFIER = {"trunk.": "resnet50.", "head.": "classifier."}
"""IRN's and AdvCAM's ``net/resnet50_cam.py``."""
RESNET38_TRUNK = {"trunk.": ""}
RESNET38_CLASSIFIER = {"head.": "fc8.", **RESNET38_TRUNK}
"""OC-CSE's networks, and psa's ``network/resnet38_cls.py``."""
AFFINITYNET = {f"reductions.{k}.": f"f8_{k + 3}." for k in range(3)} | {"mixing.": "f9.", **RESNET38_TRUNK}
"""psa's ``network/resnet38_aff.py``."""
AEFT_CLASSIFIER = {
    "reduction.": "fc8.",
    "head.": "fc9.",
    **{f"pooling.gates.{k}.positive.": f"gconv{k + 1}.att_p.0." for k in range(3)},
    **{f"pooling.gates.{k}.negative.": f"gconv{k + 1}.att_n.0." for k in range(3)},
    **RESNET38_TRUNK,
}
"""AEFT's ``Net_gpp``."""
SEENET_CLASSIFIER = {
    **{f"first.{layer}.": f"{layer}_b1." for layer in ("conv1", "conv2", "score")},
    **{f"second.{layer}.": f"{layer}_b2." for layer in ("conv1", "conv2", "score")},
    "trunk.": "",
}
"""Layers of SeeNet's ``deploy_seenet.prototxt``."""
NO_TOKEN = "cls_token of the trunk"
"""The name for a token that MCTformer+ does not have."""
MCTFORMER_CLASSIFIER = {
    "class_tokens": "cls_token",
    "class_positions": "pos_embed_cls",
    "patch_positions": "pos_embed_pat",
    "trunk.body.cls_token": NO_TOKEN,
    "trunk.body.": "",
}
"""MCTformer+'s network on DeiT-S."""

_TRUNK_BLOCK = re.compile(r"trunk\.b(\d)(?:_(\d+))?\.(conv|bn)_branch(\w+)\.(\w+)")
_MXNET_LEAVES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}


def by_beginning(beginnings: Mapping[str, str]) -> Naming:
    """A naming for names that differ only in their beginnings.

    Args:
        beginnings: their beginnings by ours; the first match counts.
    """

    def name(own: str) -> str:
        for ours, theirs in beginnings.items():
            if own.startswith(ours):
                return theirs + own.removeprefix(ours)
        return own

    return name


def irn_naming() -> Naming:
    """Names in IRN's ``net/resnet50_irn.py``."""
    layers = [f"{branch}{k}.{part}" for branch, k, part in product(("fc_edge", "fc_dp"), range(1, 8), (0, 1, 3))]
    theirs = ["fc_edge6.weight", "fc_edge6.bias", "mean_shift.running_mean"]
    theirs += [f"{layer}.{leaf}" for layer, leaf in product(layers, ("weight", "bias"))]
    return _inverse(theirs, own_name_of_irn, otherwise=by_beginning(IRN_CLASSIFIER))


def deeplab_naming() -> Naming:
    """Names in deeplab-pytorch's DeepLab v2 and v1 on ResNet-101, without the beginning ``base.``."""
    blocks = [f"layer{layer}.block{block}" for layer, block in product(range(2, len(LAYERS) + 2), range(1, 24))]
    parts = [f"{block}.{part}" for block, part in product(blocks, ("reduce", "conv3x3", "increase", "shortcut"))]
    leaves = ["conv.weight", *(f"bn.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var"))]
    theirs = [f"{part}.{leaf}" for part, leaf in product(["layer1.conv1", *parts], leaves)]
    theirs += [f"aspp.c{k}.{leaf}" for k, leaf in product(range(4), ("weight", "bias"))]
    return _inverse(theirs, own_name_of_deeplab, otherwise=lambda own: own)


def torchvision_naming(network: str) -> Naming:
    """Names in a network of torchvision; call it on the ``meta`` device, where the network takes no memory."""
    names = {name: name for name in get_model(network).state_dict()}
    own = trunk_from_torchvision(names, network)  # type: ignore[arg-type]  # moves any values
    return lambda name: str(own.get(name.removeprefix("trunk."), name))


def mxnet_name(own: str) -> str:
    """The name in ResNet-38's MXNet file, without ``arg:`` or ``aux:``; see psa's ``network/resnet38d.py``."""
    if match := _TRUNK_BLOCK.fullmatch(own):
        stage, block, kind, branch, leaf = match.groups()
        unit = "a" if block is None else f"b{block}"
        if kind == "conv":
            return f"res{stage}{unit}_branch{branch}_{leaf}"
        return f"bn{stage}{unit}_branch{branch}_{_MXNET_LEAVES.get(leaf, leaf)}"
    layer, _, leaf = own.removeprefix("trunk.").partition(".")
    return f"{layer}_{_MXNET_LEAVES.get(leaf, leaf) if layer.startswith('bn') else leaf}"


def _inverse(theirs: Iterable[str], own_name: Callable[[str], str | None], otherwise: Naming) -> Naming:
    """The inverse of ``own_name`` on some of their names."""
    table = {own: name for name in theirs if (own := own_name(name)) is not None}
    return lambda own: table.get(own) or otherwise(own)
