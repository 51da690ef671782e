"""Segmenters by name, and their files: each describes its network, which is rebuilt from the file alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from wsss_core.config.networks import Trunk
from wsss_core.config.trained_on import TRAINED_ON
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import DeepLabNetwork, SegmentationNetwork
from wsss_core.networks.deeplabv2 import DeepLabV2
from wsss_core.networks.deeplabv3plus import DeepLabV3PlusNetwork
from wsss_core.networks.largefov import LargeFovNetwork
from wsss_core.networks.pspnet import PspNetwork
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_network, read_description, save_weights

KIND = "segmenter"
"""The name of these networks in a file's description."""
NETWORKS: dict[str, type[SegmentationNetwork]] = {
    "deeplab": DeepLabNetwork,
    "largefov": LargeFovNetwork,
    "deeplabv2": DeepLabV2,
    "deeplabv3plus": DeepLabV3PlusNetwork,
    "pspnet": PspNetwork,
}
"""The networks by their name for ``network`` in the configuration."""


def build_segmenter(name: str, options: Mapping[str, Any], trunk: Trunk, classes: Sequence[str]) -> SegmentationNetwork:
    """A segmenter with random weights from torch's global generator.

    Args:
        name: a key of ``NETWORKS``.
        options: the network's arguments besides trunk and classes, as from ``Segmenter.options``.
        trunk: the trunk's settings.
        classes: names of the object classes, without the background.
    """
    network = NETWORKS[name](build_trunk(trunk), classes, **options)
    network.description = {
        "kind": KIND,
        "network": name,
        "options": dict(options),
        "trunk": describe_trunk(trunk),
        "classes": list(classes),
    }
    return network


def save_segmenter(path: Path | str, network: SegmentationNetwork, trained_on: str | None = None) -> None:
    """Write a segmenter from :func:`build_segmenter`; :func:`load_segmenter` needs nothing else.

    Args:
        path: a .safetensors file.
        network: the segmenter.
        trained_on: the data on which its weights were trained, in words, for
            :func:`wsss_core.config.trained_on.trained_on`; None if not known.
    """
    source = {} if trained_on is None else {TRAINED_ON: trained_on}
    save_weights(path, network, {**network.description, **source})


def load_segmenter(path: Path | str, device: torch.device | str = "cpu") -> SegmentationNetwork:
    """Read a segmenter for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is damaged, does not hold a segmenter, or its weights do not fit.
    """

    def build(saved: dict[str, Any]) -> SegmentationNetwork:
        return build_segmenter(saved["network"], saved["options"], read_trunk(saved["trunk"]), saved["classes"])

    return load_network(path, KIND, build, device)


def segmenter_description(path: Path | str) -> dict[str, Any]:
    """The description in a segmenter's file; the weights are not read.

    Raises:
        UserError: the file is damaged, or does not hold a segmenter.
    """
    description = read_description(path)
    if description.get("kind") != KIND or description.get("network") not in NETWORKS:
        raise UserError(f"{path}: holds weights of a {description.get('kind', 'unknown network')}, not of a {KIND}")
    return description
