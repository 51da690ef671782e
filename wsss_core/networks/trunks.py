"""Builds trunks by name: all turn an image into four feature maps, shallow to deep."""

from importlib import import_module

from wsss_core.config.networks import Trunk, is_of_the_package, patch_of
from wsss_core.networks.trunk_network import TRUNKS, TrunkNetwork

_OWN = {"resnet38": "resnet38.ResNet38Trunk", "resnet": "resnet.ResNetTrunk", "vgg16": "vgg16.Vgg16Trunk"}
"""The package's own trunks, imported when they are built, by how their names in the configuration begin."""


def build_trunk(settings: Trunk) -> TrunkNetwork:
    """The trunk for ``settings``, with random weights from torch's global generator."""
    if not is_of_the_package(settings.network):
        return TRUNKS.known[settings.network](settings)  # type: ignore[call-arg]
    if settings.model is not None:
        place = "timm_trunk.TimmTrunk" if patch_of(settings) is None else "token_trunk.TokenTrunk"
    else:
        place = next(place for beginning, place in _OWN.items() if settings.network.startswith(beginning))
    module, _, name = place.partition(".")
    trunk: TrunkNetwork = getattr(import_module(f"wsss_core.networks.{module}"), name).from_settings(settings)
    return trunk
