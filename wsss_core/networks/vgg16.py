"""The VGG-16 trunk as in SeeNet: without fully connected layers, with output stride 16 or 8.

Simonyan & Zisserman, ICLR 2015. State-dict names are Caffe's (``conv1_1`` to ``conv5_3``), as in SeeNet's and DeepLab's
files.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.initialisation import initialise_for_relu
from wsss_core.networks.pixels import VGG16_MEANS, CaffePixels
from wsss_core.networks.trunk_network import TrunkNetwork


@dataclass(frozen=True)
class Vgg16Architecture:
    """The parameters of a trunk of this kind."""

    widths: tuple[int, int, int, int, int]
    """Channels of the five stages."""
    convolutions: tuple[int, int, int, int, int]
    """Convolutions of the five stages."""
    batch_norm: bool
    """Normalise after each convolution; unlike VGG-16, small data sets need it."""


VGG16_ARCHITECTURES: dict[str, Vgg16Architecture] = {
    "vgg16": Vgg16Architecture((64, 128, 256, 512, 512), (2, 2, 3, 3, 3), batch_norm=False),
    "vgg16_small": Vgg16Architecture((16, 24, 48, 96, 96), (1, 1, 2, 1, 1), batch_norm=True),
}
"""The trunks by their name for ``network`` in the configuration."""


class Vgg16Trunk(TrunkNetwork):
    """VGG-16's convolutions; every stage but the first starts with a max-pooling with stride 2.

    Attributes:
        channels: channels of the outputs of stages 2 to 5.
        strides: pixels of the image for each cell of those outputs, in both directions.
        pixel_scale: ``imagenet``, or ``caffe`` if pixels are converted.
    """

    def __init__(
        self,
        architecture: Vgg16Architecture,
        output_stride: int = 16,
        dilated: bool = False,
        pixels: nn.Module | None = None,
    ) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            architecture: an entry of ``VGG16_ARCHITECTURES``.
            output_stride: stages that would exceed this stride start without pooling.
            dilated: dilate the convolutions after a removed pooling, as in DeepLab-LargeFOV.
            pixels: converts normalised images to the scale of the weights.
        """
        super().__init__()
        self.pixels = nn.Identity() if pixels is None else pixels
        self.pixel_scale = "imagenet" if pixels is None else "caffe"
        self.channels = architecture.widths[1:]
        self._stages: list[list[str]] = []
        self._pooled: list[bool] = []
        inputs, stride, dilation, strides = 3, 1, 1, []
        for number, (width, convolutions) in enumerate(
            zip(architecture.widths, architecture.convolutions, strict=True), start=1
        ):
            pooled = number > 1 and stride * 2 <= output_stride
            if pooled:
                stride *= 2
            elif number > 1 and dilated:
                dilation *= 2
            names = [f"conv{number}_{position}" for position in range(1, convolutions + 1)]
            for name in names:
                convolution = nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation)
                self.add_module(name, convolution)
                if architecture.batch_norm:
                    self.add_module(name.replace("conv", "bn"), nn.BatchNorm2d(width))
                inputs = width
            self._stages.append(names)
            self._pooled.append(pooled)
            strides.append(stride)
        self.batch_norm = architecture.batch_norm
        self.strides = tuple(strides[1:])
        initialise_for_relu(self)

    @classmethod
    def from_settings(cls, settings: Trunk) -> Self:
        """The trunk that ``settings.network`` names."""
        pixels = CaffePixels(VGG16_MEANS) if settings.pixels == "caffe" else None
        return cls(VGG16_ARCHITECTURES[settings.network], settings.output_stride, settings.dilated, pixels)

    def foldable_layers(self) -> list[tuple[str, str]]:
        """Each convolution and its norm."""
        names = [name for name, _ in self.named_children() if name.startswith("conv")] if self.batch_norm else []
        return [(name, name.replace("conv", "bn")) for name in names]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of stages 2 to 5.

        Args:
            images: (B, 3, H, W) float, normalised; any size from 1x1.

        Returns:
            Four tensors (B, C_i, h_i, w_i), values >= 0, with C_i from ``channels`` and h_i about H / ``strides``[i],
            rounded up (Caffe's pooling keeps a last odd row).
        """
        features, maps = self.pixels(images), []
        for names, pooled in zip(self._stages, self._pooled, strict=True):
            if pooled:
                features = functional.max_pool2d(features, 2, ceil_mode=True)
            for name in names:
                features = self.get_submodule(name)(features)
                if self.batch_norm:
                    features = self.get_submodule(name.replace("conv", "bn"))(features)
                features = functional.relu(features)
            maps.append(features)
        return maps[1:]

    def freeze_stem(self) -> None:
        """Freeze the first stage."""
        for name in self._stages[0]:
            self.get_submodule(name).requires_grad_(False)
            if self.batch_norm:
                freeze_batch_norm(self.get_submodule(name.replace("conv", "bn")))
