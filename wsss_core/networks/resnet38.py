"""The wide residual trunk "ResNet-38" in AffinityNet's form, which OC-CSE and AEFT also use.

Wu, Shen & van den Hengel, "Wider or Deeper", 2016, model A1; as in psa ``network/resnet38d.py``: stride 8, the last
three stages dilated, normalisation before convolution. State-dict names are the authors' (``conv1a``, ``b2``, ``b2_1``,
..., ``b7``, ``bn7``), so their weights fit.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.initialisation import initialise_for_relu
from wsss_core.networks.trunk_network import TrunkNetwork


@dataclass(frozen=True)
class Resnet38Architecture:
    """The parameters of a trunk of this kind."""

    stem: int
    """Channels of the first convolution."""
    widths: tuple[int, int, int, int]
    """Channels inside the blocks of stages 2 to 5, and of the outputs of 2 to 4; stage 5's output has twice as many."""
    blocks: tuple[int, int, int, int]
    """Number of blocks in stages 2 to 5."""
    bottlenecks: tuple[int, int]
    """Channels of the outputs of stages 6 and 7."""
    dilations: tuple[int, int, int]
    """Dilations of stages 5, 6 and 7."""
    dropout: tuple[float, float]
    """Proportion of the channels dropped inside stages 6 and 7 in training."""


RESNET38_ARCHITECTURES: dict[str, Resnet38Architecture] = {
    "resnet38": Resnet38Architecture(
        64, (128, 256, 512, 512), (3, 3, 6, 3), (2048, 4096), dilations=(2, 4, 4), dropout=(0.3, 0.5)
    ),
    # For images of about 100 pixels: not dilated, for a receptive field of 109 by 109 pixels, not 221 by 221.
    "resnet38_small": Resnet38Architecture(
        16, (24, 48, 64, 64), (1, 1, 1, 1), (128, 192), dilations=(1, 1, 1), dropout=(0.0, 0.0)
    ),
}
"""The trunks by their name for ``network`` in the configuration."""


class ResidualBlock(nn.Module):
    """Normalisation, relu, 3x3 convolution, twice; the shortcut is a 1x1 convolution if shapes differ."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, first_dilation: int, dilation: int) -> None:
        """Build the block with random weights."""
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = _convolution(inputs, width, first_dilation, stride)
        self.bn_branch2b1 = nn.BatchNorm2d(width)
        self.conv_branch2b1 = _convolution(width, outputs, dilation)
        self.conv_branch1: nn.Module | None = None
        if inputs != outputs or stride != 1:
            self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The output (B, outputs, h', w') for (B, C, h, w), and the normalised, rectified input."""
        entered = functional.relu(self.bn_branch2a(features))
        shortcut = features if self.conv_branch1 is None else self.conv_branch1(entered)
        inner = functional.relu(self.bn_branch2b1(self.conv_branch2a(entered)))
        return shortcut + self.conv_branch2b1(inner), entered

    def foldable_layers(self) -> list[tuple[str, str]]:
        """The block normalises before it convolves: the norm at its entry, which the shortcut also sees, stays."""
        return [("conv_branch2a", "bn_branch2b1")]


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each normalised before, with dropout of channels before the last two."""

    def __init__(self, inputs: int, outputs: int, dilation: int, dropout: float) -> None:
        """Build the block with random weights."""
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = nn.Conv2d(inputs, outputs // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(outputs // 4)
        self.conv_branch2b1 = _convolution(outputs // 4, outputs // 2, dilation)
        self.bn_branch2b2 = nn.BatchNorm2d(outputs // 2)
        self.conv_branch2b2 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The output (B, outputs, h, w) for (B, C, h, w), and the normalised, rectified input."""
        entered = functional.relu(self.bn_branch2a(features))
        inner = self.dropout(functional.relu(self.bn_branch2b1(self.conv_branch2a(entered))))
        inner = self.dropout(functional.relu(self.bn_branch2b2(self.conv_branch2b1(inner))))
        return self.conv_branch1(entered) + self.conv_branch2b2(inner), entered

    def foldable_layers(self) -> list[tuple[str, str]]:
        """All but the norm at the block's entry, as in :class:`ResidualBlock`."""
        return [("conv_branch2a", "bn_branch2b1"), ("conv_branch2b1", "bn_branch2b2")]


class ResNet38Trunk(TrunkNetwork):
    """ResNet-38 without pooling and classifier.

    Attributes:
        channels: channels of the four outputs.
        strides: pixels of the image for each cell of those outputs, in both directions.
    """

    strides = (4, 8, 8, 8)

    def __init__(self, architecture: Resnet38Architecture, dropout: tuple[float, float] | None = None) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            architecture: an entry of ``RESNET38_ARCHITECTURES``.
            dropout: instead of the architecture's.
        """
        super().__init__()
        self.conv1a = _convolution(3, architecture.stem, 1)
        self._stages: list[list[str]] = []
        inputs = architecture.stem
        outputs = (*architecture.widths[:3], 2 * architecture.widths[3])
        for number, (width, output, blocks) in enumerate(
            zip(architecture.widths, outputs, architecture.blocks, strict=True), start=2
        ):
            dilation = architecture.dilations[0] if number == 5 else 1
            names = [f"b{number}", *(f"b{number}_{block}" for block in range(1, blocks))]
            for position, name in enumerate(names):
                stride = 2 if position == 0 and number < 5 else 1
                first_dilation = 1 if position == 0 else dilation
                self.add_module(name, ResidualBlock(inputs, width, output, stride, first_dilation, dilation))
                inputs = output
            self._stages.append(names)
        sixth, seventh = architecture.bottlenecks
        shares = architecture.dropout if dropout is None else dropout
        self.b6 = BottleneckBlock(inputs, sixth, architecture.dilations[1], shares[0])
        self.b7 = BottleneckBlock(sixth, seventh, architecture.dilations[2], shares[1])
        self.bn7 = nn.BatchNorm2d(seventh)
        self.channels = (architecture.widths[1], architecture.widths[2], inputs, seventh)
        initialise_for_relu(self)

    @classmethod
    def from_settings(cls, settings: Trunk) -> Self:
        """The trunk that ``settings.network`` names."""
        return cls(RESNET38_ARCHITECTURES[settings.network], settings.dropout)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps, shallow to deep: ``conv3`` to ``conv6`` in psa.

        Args:
            images: (B, 3, H, W) float, normalised; any size from 1x1.

        Returns:
            Four tensors (B, C_i, h_i, w_i), values >= 0, with C_i from ``channels`` and h_i about H / ``strides``[i],
            rounded up: the rectified inputs of stages 4, 5 and 6, and the rectified output of stage 7.
        """
        features, maps = self.conv1a(images), []
        for number, names in enumerate(self._stages, start=2):
            for position, name in enumerate(names):
                features, entered = self.get_submodule(name)(features)
                if position == 0 and number >= 4:
                    maps.append(entered)
        features, entered = self.b6(features)
        maps.append(entered)
        features, _ = self.b7(features)
        maps.append(functional.relu(self.bn7(features)))
        return maps

    def freeze_stem(self) -> None:
        """Freeze the first convolution and stage 2, as in the authors' code."""
        for name in ("conv1a", *self._stages[0]):
            part = self.get_submodule(name)
            freeze_batch_norm(part)
            part.requires_grad_(False)


def _convolution(inputs: int, outputs: int, dilation: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
