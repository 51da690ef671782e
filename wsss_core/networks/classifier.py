"""The classifier whose last layer draws class maps."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from wsss_core.config.networks import Trunk
from wsss_core.networks.precision import single_precision
from wsss_core.networks.trunks import build_trunk


class ClassMapClassifier(nn.Module):
    """A trunk and a bias-free 1x1 convolution: one map per class, whose mean is the class's logit.

    The mean of the maps equals the usual linear classifier on globally pooled features (Zhou et
    al., CVPR 2016); drawn this way round, the maps come for free.

    This is also what every other classifier offers, and all that drawing maps (AdvCAM, multi-scale)
    and training ask for.

    Attributes:
        trunk_settings: the settings of the trunk.
        classes: names of the K classes.
        trunk: the trunk.
    """

    architecture = "class_maps"
    """Name of this kind of classifier in files; a subclass has one of its own."""
    known: ClassVar[dict[str, type["ClassMapClassifier"]]] = {}
    """The kinds of classifiers imported so far, by that name."""

    def __init_subclass__(cls) -> None:
        """Let files of this kind be read."""
        super().__init_subclass__()
        ClassMapClassifier.known[cls.architecture] = cls

    def __init__(self, trunk: Trunk, classes: Sequence[str]) -> None:
        """Build the network with random weights from torch's global generator."""
        super().__init__()
        self.trunk_settings, self.classes = trunk, tuple(classes)
        self.trunk = build_trunk(trunk)
        self.add_layers(self.trunk.channels[-1], len(self.classes))

    def add_layers(self, channels: int, classes: int) -> None:
        """Make the layers behind the trunk, which gives ``channels``."""
        self.head = nn.Conv2d(channels, classes, 1, bias=False)

    def begin_from_trunk(self) -> None:
        """Start what new layers take from the trunk, whose weights have just been read; here they take nothing."""

    def options(self) -> dict[str, Any]:
        """What, beside trunk and classes, the network is rebuilt from, as JSON values."""
        return {}

    def class_maps(self, images: Tensor) -> Tensor:
        """Raw class maps.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            (B, K, h, w), any sign; h and w are H and W by the output stride, rounded up.
        """
        return single_precision(self.head(self.trunk(images)[-1]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W): the spatial means of the class maps."""
        return self.class_maps(images).mean(dim=(2, 3))

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What an adversarial climb looks at.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            Rectified class maps (B, K, h, w), and the scores (B, K) that shall rise or fall: here
            the means of those maps (AdvCAM counts no negative evidence).
        """
        maps = self.class_maps(images).relu()
        return maps, maps.mean(dim=(2, 3))

    def positive_weights(self, classes: Tensor) -> Tensor:
        """Numbers of features that speak for classes (K,): weights above 0 in the last layer."""
        return (self.head.weight[classes] > 0).sum(dim=(1, 2, 3))

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters beyond the trunk's."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("trunk.")]


ClassMapClassifier.known[ClassMapClassifier.architecture] = ClassMapClassifier
