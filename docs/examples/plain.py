"""A trunk of one's own: four plain convolutions."""

from typing import Literal

from pydantic import Field
from torch import nn

from wsss_core.extend import Backbone, TrunkNetwork, freeze_batch_norm, register


@register("backbones")
class PlainBackbone(Backbone):
    """Four convolutions with batch normalisation, one to a map."""

    network: Literal["plain"] = "plain"
    """Four convolutions."""
    width: int = Field(16, ge=1)
    """Channels of the first map; each further one has twice as many."""
    dilated: Literal[False] = False
    """Nothing is dilated."""


class PlainTrunk(TrunkNetwork, name="plain"):
    """Maps of strides 4, 8, 16 and 32, as far as ``output_stride`` lets them grow."""

    def __init__(self, settings):
        """Random weights."""
        super().__init__()
        self.channels = tuple(settings.width * 2**n for n in range(4))
        self.strides = tuple(min(4 * 2**n, settings.output_stride) for n in range(4))
        inputs, finer = (3, *self.channels), (1, *self.strides)
        self.layers = nn.ModuleList()
        for number, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
            step = stride // finer[number]
            convolution = nn.Conv2d(inputs[number], channels, 2 * step + 1, step, padding=step, bias=False)
            self.layers.append(nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU()))

    def forward(self, images):
        """Four maps of images (B, 3, H, W)."""
        maps = [images]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]

    def freeze_stem(self):
        """Keep the first convolution as it is."""
        self.layers[0].requires_grad_(False)
        freeze_batch_norm(self.layers[0])
