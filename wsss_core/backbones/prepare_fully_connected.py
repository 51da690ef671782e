"""Stage `fully_connected`: VGG-16's fully connected layers, reduced for DeepLab-LargeFOV."""

from pathlib import Path

from wsss_core.config.trained_on import TRAINED_ON
from wsss_core.networks.imagenet_weights import imagenet_weights
from wsss_core.networks.largefov import decimated_layers
from wsss_core.networks.weights import save_weights


def prepare_fully_connected(network: str, channels: int, weights: Path) -> None:
    """Write fc6 and fc7 as convolutions, from torchvision's ImageNet weights.

    Args:
        network: ``vgg16``.
        channels: how many units of fc6 and fc7 are kept; divides 4096.
        weights: the file to write.

    Raises:
        UserError: torchvision's weights cannot be fetched, or are damaged.
    """
    state, file = imagenet_weights(network)
    description = {"kind": "fully connected layers", "network": network, "channels": channels}
    save_weights(weights, decimated_layers(state, channels, file), {**description, TRAINED_ON: "ImageNet"})
