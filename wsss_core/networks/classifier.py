"""A multi-label classifier whose last layer gives a map for every class."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss_core.config.networks import Backbone
from wsss_core.errors import UserError
from wsss_core.networks.resnet import ResNetTrunk, build_trunk
from wsss_core.networks.weights import inference_mode, load_state, load_weights, save_weights


class ClassMapClassifier(nn.Module):
    """Trunk and a bias-free 1x1 convolution; logits are the means of the class maps.

    For a head without bias this is the same as classifying the averaged features, as IRN's and
    AdvCAM's networks do (irn ``net/resnet50_cam.py``).

    Attributes:
        classes: names of the classes.
    """

    def __init__(self, trunk: ResNetTrunk, classes: Sequence[str]) -> None:
        """Put a randomly initialised head on ``trunk``."""
        super().__init__()
        self.trunk = trunk
        self.classes = tuple(classes)
        self.head = nn.Conv2d(trunk.channels[-1], len(self.classes), 1, bias=False)

    def class_maps(self, images: Tensor) -> Tensor:
        """The evidence for each class at each place.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            (B, K, h, w), unbounded; negative values are evidence against.
        """
        return self.head(self.trunk(images)[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W)."""
        return self.class_maps(images).mean(dim=(2, 3))

    def positive_weights(self, class_index: int) -> int:
        """Number of features that speak for a class (weights above 0 in the head)."""
        return int((self.head.weight[class_index] > 0).sum())


def save_classifier(path: Path | str, classifier: ClassMapClassifier, backbone: Backbone) -> None:
    """Write a classifier's weights; :func:`load_classifier` needs nothing else."""
    description = {"kind": "classifier", "backbone": backbone.model_dump(mode="json"), "classes": classifier.classes}
    save_weights(path, classifier, description)


def load_classifier(path: Path | str, device: torch.device | str = "cpu") -> ClassMapClassifier:
    """Read a classifier for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is broken, is no classifier's, or its weights do not fit.
    """
    state, description = load_weights(path)
    if description.get("kind") != "classifier":
        raise UserError(f"{path}: holds weights, but not of a classifier made by this workflow")
    classifier = ClassMapClassifier(build_trunk(Backbone(**description["backbone"])), description["classes"])
    load_state(classifier, state, path)
    inference_mode(classifier, device)
    return classifier
