"""Stage `fully_connected`: VGG-16's fully connected layers, thinned to what DeepLab-LargeFOV has of them."""

from pathlib import Path

from wsss_core.config.trained_on import TRAINED_ON
from wsss_core.networks.imagenet_weights import imagenet_weights
from wsss_core.networks.largefov import decimated_layers
from wsss_core.networks.weights import save_weights


def prepare_fully_connected(network: str, channels: int, weights: Path) -> None:
    """Write fc6 and fc7 as convolutions, from torchvision's ImageNet weights.

    Args:
        network: ``vgg16``.
        channels: units of fc6 and fc7 that are kept; divides 4096.
        weights: the file to make.

    Raises:
        UserError: torchvision's weights cannot be had, or are damaged.
    """
    state, file = imagenet_weights(network)
    description = {"kind": "fully connected layers", "network": network, "channels": channels}
    save_weights(weights, decimated_layers(state, channels, file), {**description, TRAINED_ON: "ImageNet"})
