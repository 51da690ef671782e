"""Builds trunks by name: all turn an image into four feature maps, shallow to deep."""

from collections.abc import Mapping

from torch import Tensor

from wsss_core.config.networks import Trunk, patch_of
from wsss_core.networks.pixels import DEEPLAB_MEANS, VGG16_MEANS, CaffePixels
from wsss_core.networks.resnet import ARCHITECTURES, ResNetTrunk
from wsss_core.networks.resnet38 import RESNET38_ARCHITECTURES, ResNet38Trunk
from wsss_core.networks.timm_trunk import TimmTrunk
from wsss_core.networks.token_trunk import TokenTrunk
from wsss_core.networks.trunk_network import TRUNKS, TrunkNetwork
from wsss_core.networks.vgg16 import VGG16_ARCHITECTURES, Vgg16Trunk


def build_trunk(settings: Trunk) -> TrunkNetwork:
    """The trunk for ``settings``, with random weights from torch's global generator."""
    if settings.network in TRUNKS.known:
        return TRUNKS.known[settings.network](settings)  # type: ignore[call-arg]
    if settings.model is not None and patch_of(settings) is not None:
        return TokenTrunk(settings.model)
    if settings.model is not None:
        return TimmTrunk(settings.model, settings.output_stride, settings.dilated)
    if settings.network in RESNET38_ARCHITECTURES:
        return ResNet38Trunk(RESNET38_ARCHITECTURES[settings.network], settings.dropout)
    if settings.network in VGG16_ARCHITECTURES:
        pixels = CaffePixels(VGG16_MEANS) if settings.pixels == "caffe" else None
        architecture = VGG16_ARCHITECTURES[settings.network]
        return Vgg16Trunk(architecture, settings.output_stride, settings.dilated, pixels)
    pixels = CaffePixels(DEEPLAB_MEANS) if settings.pixels == "caffe" else None
    return ResNetTrunk(ARCHITECTURES[settings.network], settings.output_stride, settings.dilated, pixels)


def trunk_from_torchvision(state: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """The trunk's part of a torchvision network's state dict, under the trunk's own names.

    Args:
        state: of torchvision's ``resnet18`` to ``resnet101`` or ``vgg16``.
        network: the trunk's name in the configuration.

    Returns:
        The weights without the layers after the trunk (``fc``, ``classifier``).
    """
    if network not in VGG16_ARCHITECTURES:
        return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    positions = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    convolutions = VGG16_ARCHITECTURES[network].convolutions
    names = [f"conv{stage}_{n}" for stage, count in enumerate(convolutions, start=1) for n in range(1, count + 1)]
    ours = dict(zip((f"features.{position}" for position in positions), names, strict=False))
    renamed = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if not name.startswith("classifier."):
            renamed[f"{ours[layer]}.{leaf}" if layer in ours else name] = tensor
    return renamed
