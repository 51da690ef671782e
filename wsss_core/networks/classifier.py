"""The classifier whose last layer draws class maps."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss_core.config.networks import Backbone
from wsss_core.networks.resnet import build_trunk
from wsss_core.networks.weights import load_network, save_weights

KIND = "classifier"
"""What a file's description calls this network."""


class ClassMapClassifier(nn.Module):
    """A trunk and a bias-free 1x1 convolution: one map per class, whose mean is the class's logit.

    The mean of the maps equals the usual linear classifier on globally pooled features (Zhou et
    al., CVPR 2016); drawn this way round, the maps come for free.

    Attributes:
        backbone: the settings of the trunk.
        classes: names of the K classes.
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str]) -> None:
        """Build the network with random weights from torch's global generator."""
        super().__init__()
        self.backbone, self.classes = backbone, tuple(classes)
        self.trunk = build_trunk(backbone)
        self.head = nn.Conv2d(self.trunk.channels[-1], len(self.classes), 1, bias=False)

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            (B, K, h, w), any sign; h and w are H and W by the output stride, rounded up.
        """
        return self.head(self.trunk(images)[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): the spatial means of the class maps."""
        return self.class_maps(images).mean(dim=(2, 3))

    def positive_weights(self, class_index: int) -> int:
        """Number of features that speak for a class (weights above 0 in the head)."""
        return int((self.head.weight[class_index] > 0).sum())


def save_classifier(path: Path | str, classifier: ClassMapClassifier) -> None:
    """Write a classifier to a .safetensors file that it can be rebuilt from."""
    description = {
        "kind": KIND,
        "backbone": classifier.backbone.model_dump(mode="json"),
        "classes": list(classifier.classes),
    }
    save_weights(path, classifier, description)


def load_classifier(path: Path | str, device: torch.device | str = "cpu") -> ClassMapClassifier:
    """Rebuild a classifier from its file alone.

    Returns:
        The classifier on ``device``, in evaluation mode; its parameters need no gradient.

    Raises:
        UserError: the file is missing, damaged or holds another kind of network.
    """
    return load_network(
        path, KIND, lambda saved: ClassMapClassifier(Backbone(**saved["backbone"]), saved["classes"]), device
    )
