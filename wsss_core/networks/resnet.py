"""Residual trunks with torchvision's blocks and state-dict names, and a stride for class maps."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsss_core.config.networks import Trunk
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.initialisation import initialise_for_relu
from wsss_core.networks.pixels import DEEPLAB_MEANS, CaffePixels
from wsss_core.networks.trunk_network import TrunkNetwork

LAYERS = ("layer1", "layer2", "layer3", "layer4")
"""The four stages of a residual network, shallow to deep."""


@dataclass(frozen=True)
class Architecture:
    """The parameters of a residual network."""

    block: type[BasicBlock] | type[Bottleneck]
    blocks: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels inside a layer's blocks; its output has ``block.expansion`` times as many."""
    stem_kernel: int = 7
    max_pool: bool = True


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Architecture(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Architecture(Bottleneck, (3, 4, 6, 3)),
    "resnet101": Architecture(Bottleneck, (3, 4, 23, 3)),
    # For images of about 100 pixels: half the stride, and a receptive field of 70 pixels, not 400 (stride 8).
    "resnet_small": Architecture(BasicBlock, (1, 1, 1, 1), (24, 48, 96, 96), stem_kernel=3, max_pool=False),
}
"""He et al., CVPR 2016, in torchvision's form (stride in a bottleneck's 3x3 convolution)."""


class ResNetTrunk(TrunkNetwork):
    """A residual network without pooling and classifier, with a configurable output stride.

    Its state dict has torchvision's names (``conv1``, ``bn1``, ``layer1`` to ``layer4``), so torchvision's weights fit.

    Attributes:
        channels: channels of the outputs of layer1 to layer4.
        strides: pixels of the image for each cell of those outputs, in both directions.
        pixel_scale: ``imagenet``, or ``caffe`` if pixels are converted.
    """

    def __init__(
        self,
        architecture: Architecture,
        output_stride: int = 32,
        dilated: bool = False,
        pixels: nn.Module | None = None,
    ) -> None:
        """Build the network with random weights from torch's global generator.

        Args:
            architecture: an entry of ``ARCHITECTURES``.
            output_stride: layers that would exceed this stride keep the size of their input.
            dilated: dilate the convolutions after a removed stride, so that each keeps its receptive field; the outputs
                then contain the original network's.
            pixels: converts normalised images to the scale of weights from Caffe; the network then has Caffe's form (He
                et al.'s own, as in deeplab-pytorch): a bottleneck's stride is in its first 1x1 convolution, the 3x3
                convolutions of a layer have one dilation, and the max-pooling rounds sizes up.

        Raises:
            ValueError: ``pixels`` are given, but the blocks are no bottlenecks, as in Caffe's networks.
        """
        super().__init__()
        caffe = pixels is not None
        self.pixels = nn.Identity() if pixels is None else pixels
        self.pixel_scale = "caffe" if caffe else "imagenet"
        block, kernel = architecture.block, architecture.stem_kernel
        if caffe and block is not Bottleneck:
            raise ValueError("Caffe's form needs bottleneck blocks")
        inputs = architecture.widths[0]
        self.conv1 = nn.Conv2d(3, inputs, kernel, stride=2, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        pooling = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=caffe)
        self.maxpool = pooling if architecture.max_pool else nn.Identity()
        stride, dilation = (4 if architecture.max_pool else 2), 1
        channels, strides = [], []
        for number, name in enumerate(LAYERS):
            wanted = 1 if number == 0 else 2
            kept = wanted if stride * wanted <= output_stride else 1
            layer = _make_layer(block, inputs, architecture.widths[number], architecture.blocks[number], wanted, kept)
            if dilated:
                before, dilation = dilation, dilation * wanted // kept
                _dilate(layer, dilation if caffe else before, dilation)
            if isinstance(first := layer[0], Bottleneck) and caffe:
                first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
            self.add_module(name, layer)
            inputs, stride = architecture.widths[number] * block.expansion, stride * kept
            channels.append(inputs)
            strides.append(stride)
        self.channels, self.strides = tuple(channels), tuple(strides)
        initialise_for_relu(self)

    @classmethod
    def from_settings(cls, settings: Trunk) -> Self:
        """The trunk that ``settings.network`` names."""
        pixels = CaffePixels(DEEPLAB_MEANS) if settings.pixels == "caffe" else None
        return cls(ARCHITECTURES[settings.network], settings.output_stride, settings.dilated, pixels)

    def foldable_layers(self) -> list[tuple[str, str]]:
        """The stem's convolution and its norm."""
        return [("conv1", "bn1")]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of layer1 to layer4.

        Args:
            images: (B, 3, H, W) float, normalised; any size from 1x1.

        Returns:
            Four tensors (B, C_i, h_i, w_i), values >= 0, with C_i from ``channels`` and h_i about H / ``strides``[i],
            rounded up (in Caffe's form it may be one more).
        """
        return self.stages(images)[1:]

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the maps of :meth:`stages`."""
        return (self.conv1.out_channels, *self.channels)

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Pixels of the image for each cell of the maps of :meth:`stages`; layer1 has the stem's stride."""
        return (self.strides[0], *self.strides)

    def stages(self, images: Tensor) -> list[Tensor]:
        """The stem's output, pooled, and the four maps of :meth:`forward`."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(self.pixels(images)))))  # (B, C, h, w)
        maps = [features]
        for name in LAYERS:
            features = self.get_submodule(name)(features)  # (B, C_i, h_i, w_i)
            maps.append(features)
        return maps

    def freeze_stem(self) -> None:
        """Freeze the first convolution and ``layer1``, with their batch normalisation (IRN)."""
        for module in (self.conv1, self.bn1, self.get_submodule("layer1")):
            freeze_batch_norm(module)
            module.requires_grad_(False)


def _make_layer(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, width: int, blocks: int, wanted: int, kept: int
) -> nn.Sequential:
    """One stage; ``wanted`` is the original stride (which determines the shortcut's weights), ``kept`` the used one."""
    outputs = width * block.expansion
    shortcut = None
    if wanted != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=kept, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, width, stride=kept, downsample=shortcut)
    return nn.Sequential(first, *(block(outputs, width) for _ in range(blocks - 1)))


def _dilate(layer: nn.Sequential, before: int, after: int) -> None:
    """Dilate a layer's 3x3 convolutions: by ``before`` up to the removed stride, by ``after`` after it.

    This is done after construction because the constructor of torchvision's BasicBlock does not support dilation.
    """
    for number, block in enumerate(layer):
        strided = block.conv2 if isinstance(block, Bottleneck) else block.conv1
        for part in block.modules():
            if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
                dilation = before if number == 0 and part is strided else after
                part.dilation = part.padding = (dilation, dilation)
