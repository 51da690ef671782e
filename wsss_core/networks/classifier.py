"""The classifier whose last layer computes class maps."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from wsss_core.config.networks import Trunk
from wsss_core.networks.precision import single_precision
from wsss_core.networks.trunks import build_trunk


class ClassMapClassifier(nn.Module):
    """A trunk and a 1x1 convolution without bias: one map for each class, whose mean is the class's logit.

    The means of the maps equal the usual linear classifier on globally pooled features (Zhou et al., CVPR 2016); in
    this order, the maps cost nothing.

    This is also the interface of all classifiers, for training and for class maps (AdvCAM, multi-scale).

    Attributes:
        trunk_settings: the settings of the trunk.
        classes: names of the K classes.
        trunk: the trunk.
    """

    architecture = "class_maps"
    """The name of this kind of classifier in files; a subclass has its own."""
    known: ClassVar[dict[str, type["ClassMapClassifier"]]] = {}
    """The kinds of classifiers imported so far, by that name."""

    def __init_subclass__(cls) -> None:
        """Register this kind for reading files."""
        super().__init_subclass__()
        ClassMapClassifier.known[cls.architecture] = cls

    def __init__(self, trunk: Trunk, classes: Sequence[str]) -> None:
        """Build the network with random weights from torch's global generator."""
        super().__init__()
        self.trunk_settings, self.classes = trunk, tuple(classes)
        self.trunk = build_trunk(trunk)
        self.add_layers(self.trunk.channels[-1], len(self.classes))

    def add_layers(self, channels: int, classes: int) -> None:
        """Add the layers after the trunk, whose last map has ``channels``."""
        self.head = nn.Conv2d(channels, classes, 1, bias=False)

    def begin_from_trunk(self) -> None:
        """Initialise new layers from the trunk, whose weights were just read; by default, this does nothing."""

    def options(self) -> dict[str, Any]:
        """The arguments, besides trunk and classes, that rebuild the network, as JSON values."""
        return {}

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            (B, K, h, w), any sign; h and w are H and W divided by the output stride, rounded up.
        """
        return single_precision(self.head(self.trunk(images)[-1]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): the spatial means of the class maps."""
        return self.class_maps(images).mean(dim=(2, 3))

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The maps and scores for an adversarial climb.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            Rectified class maps (B, K, h, w), and the scores (B, K) to raise or lower: here the means of those maps
            (AdvCAM ignores negative evidence).
        """
        maps = self.class_maps(images).relu()
        return maps, maps.mean(dim=(2, 3))

    def positive_weights(self, classes: Tensor) -> Tensor:
        """Numbers of features that support classes (K,): weights above 0 in the last layer."""
        return (self.head.weight[classes] > 0).sum(dim=(1, 2, 3))

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters outside the trunk."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("trunk.")]


ClassMapClassifier.known[ClassMapClassifier.architecture] = ClassMapClassifier
