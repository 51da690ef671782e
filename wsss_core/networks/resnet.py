"""Residual trunks: torchvision's ResNet-18 to -101, and a small one for small images."""

from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsss_core.config.networks import Backbone


@dataclass(frozen=True)
class ResNetShape:
    """What tells one residual trunk from another."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]
    """Blocks of layer1 to layer4."""
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels inside the blocks of layer1 to layer4."""
    large_stem: bool = True
    """7x7 convolution and max-pooling (stride 4), or a 3x3 convolution alone (stride 2)."""


SHAPES = {
    "resnet18": ResNetShape(BasicBlock, (2, 2, 2, 2)),
    "resnet34": ResNetShape(BasicBlock, (3, 4, 6, 3)),
    "resnet50": ResNetShape(Bottleneck, (3, 4, 6, 3)),
    "resnet101": ResNetShape(Bottleneck, (3, 4, 23, 3)),
    "resnet_small": ResNetShape(BasicBlock, (1, 1, 1, 1), (24, 48, 96, 96), large_stem=False),
}


class ResNetTrunk(nn.Module):
    """The convolutional part of a ResNet, under torchvision's state-dict names.

    Attributes:
        channels: channels of the feature maps of layer1 to layer4.
        strides: pixels of the image per cell of each of them.
    """

    def __init__(self, shape: ResNetShape, output_stride: int, dilated: bool) -> None:
        """Build the trunk with random weights.

        Args:
            shape: depths, widths, block and stem.
            output_stride: layers that would go beyond it keep stride 1.
            dilated: dilate the convolutions of those layers instead.
        """
        super().__init__()
        width = shape.widths[0]
        if shape.large_stem:
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        channels, stride, dilation = width, 4 if shape.large_stem else 2, 1
        all_channels, all_strides = [], []
        for number, (depth, width) in enumerate(zip(shape.depths, shape.widths, strict=True), start=1):
            layer_stride = 1 if number == 1 else 2
            first_dilation = dilation
            if stride * layer_stride > output_stride:
                dilation, layer_stride = dilation * layer_stride, 1
            stride *= layer_stride
            layer = _layer(shape.block, channels, width, depth, layer_stride)
            if dilated:
                _dilate(layer, first_dilation, dilation)
            self.add_module(f"layer{number}", layer)
            channels = width * shape.block.expansion
            all_channels.append(channels)
            all_strides.append(stride)
        self.channels, self.strides = tuple(all_channels), tuple(all_strides)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, images: Tensor) -> Tensor:
        """What comes before layer1: (B, 3, H, W) to (B, C, h, w)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of layer1 to layer4.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            Four tensors (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).
        """
        features, maps = self.stem(images), []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
            maps.append(features)
        return maps


def _layer(block: type[BasicBlock] | type[Bottleneck], channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """A stage of ``depth`` blocks; the first one changes stride and channels."""
    blocks = []
    for position in range(depth):
        block_stride = stride if position == 0 else 1
        shortcut = None
        if block_stride != 1 or channels != width * block.expansion:
            shortcut = nn.Sequential(
                nn.Conv2d(channels, width * block.expansion, 1, stride=block_stride, bias=False),
                nn.BatchNorm2d(width * block.expansion),
            )
        blocks.append(block(channels, width, block_stride, shortcut))
        channels = width * block.expansion
    return nn.Sequential(*blocks)


def _dilate(layer: nn.Sequential, first: int, rest: int) -> None:
    """Dilate a stage's 3x3 convolutions: the first block's by ``first``, the others' by ``rest``.

    Done afterwards because torchvision's BasicBlock takes no dilation; the first block still sees the
    previous stage's grid, as where torchvision replaces strides by dilation.
    """
    for position, block in enumerate(layer):
        dilation = first if position == 0 else rest
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)


def build_trunk(backbone: Backbone) -> ResNetTrunk:
    """The trunk that a backbone's settings describe, with random weights (torch's global generator)."""
    return ResNetTrunk(SHAPES[backbone.network], backbone.output_stride, backbone.dilated)
