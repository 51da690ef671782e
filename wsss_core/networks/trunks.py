"""Builds trunks by name: all turn an image into four feature maps, shallow to deep."""

from wsss_core.config.networks import Trunk, is_of_the_package, patch_of
from wsss_core.networks.trunk_network import TRUNKS, TrunkNetwork


def build_trunk(settings: Trunk) -> TrunkNetwork:
    """The trunk for ``settings``, with random weights from torch's global generator."""
    if not is_of_the_package(settings.network):
        return TRUNKS.find(settings.network)(settings)  # type: ignore[call-arg]
    return TRUNKS.find(_family(settings)).from_settings(settings)


def _family(settings: Trunk) -> str:
    """The name of a trunk of the package in the registry, which is that of its module."""
    if settings.model is not None:
        return "timm_trunk" if patch_of(settings) is None else "token_trunk"
    network = settings.network.removesuffix("_small")
    return network if network in ("resnet38", "vgg16") else "resnet"
