"""Trunks from timm: any of its models with maps of strides 4 to 32, with a configurable output stride."""

from collections import Counter
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.timm_models import create, layout, maps_of, pixel_statistics
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.trunk_network import TrunkNetwork

BODY = "body"
"""The attribute with timm's model in the trunk, which is the prefix of timm's names in the state dict."""


class PixelStatistics(nn.Module):
    """Converts images normalised by ImageNet's mean and deviation to a model's own mean and deviation.

    It has no weights and adds nothing to a state dict.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> None:
        """Combine both into one factor and one offset for each channel; red, green, blue, on the 0..1 scale."""
        super().__init__()
        own = list(zip(MEAN, STANDARD_DEVIATION, mean, deviation, strict=True))
        scale = [theirs / new for _, theirs, _, new in own]
        offset = [(theirs - new) / by for theirs, _, new, by in own]
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", torch.tensor(offset).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to the same shape."""
        return images * self.scale + self.offset


class TimmTrunk(TrunkNetwork):
    """A model from timm without its pooling and classifier.

    Its deepest map is the one that timm's own classifier would pool. Its state dict has timm's names after ``body.``.

    Attributes:
        channels: channels of the four maps.
        strides: pixels of the image for each cell of those maps, in both directions.
    """

    def __init__(self, model: str, output_stride: int, dilated: bool) -> None:
        """Build the model with random weights from torch's global generator.

        Args:
            model: timm's name with a tag, which determines the mean and deviation of pixels.
            output_stride: stages that would exceed this stride keep the size of their input.
            dilated: dilate the convolutions after a removed stride, as in timm; else dilations are those of the model
                with stride 32 (IRN's and AdvCAM's form).

        Raises:
            ValueError: the model cannot be a trunk with this stride.
        """
        super().__init__()
        self._layout = layout(model, output_stride)
        body = create(model, output_stride, self._layout.indices)
        for name in self._layout.unused:
            setattr(body, name, nn.Identity())
        if not dilated and output_stride < 32:
            _undo_dilations(body, model)
        self.body = body
        mean, deviation = pixel_statistics(model)
        same = mean == MEAN and deviation == STANDARD_DEVIATION
        self.pixels: nn.Module = nn.Identity() if same else PixelStatistics(mean, deviation)
        self.channels, self.strides = self._layout.channels[-4:], self._layout.strides[-4:]

    @classmethod
    def from_settings(cls, settings: Trunk) -> Self:
        """The trunk that ``settings.model`` names."""
        return cls(str(settings.model), settings.output_stride, settings.dilated)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the maps of :meth:`stages`."""
        return self._layout.channels

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Pixels of the image for each cell of the maps of :meth:`stages`."""
        return self._layout.strides

    def stages(self, images: Tensor) -> list[Tensor]:
        """All maps, shallow to deep: one with stride 2 if the model has it, then the four of :meth:`forward`.

        Args:
            images: (B, 3, H, W) float, normalised by ImageNet's mean and deviation; any size from 1x1.

        Returns:
            Tensors (B, C_i, h_i, w_i), any sign, h_i = ceil(H / ``stage_strides``[i]).
        """
        sizes = images.shape[2:]
        padding = [-side % self._layout.pad_to for side in sizes]
        images = self.pixels(images)
        if any(padding):
            images = functional.pad(images, (0, padding[1], 0, padding[0]))
        maps = maps_of(self.body, images, self._layout.indices)
        if not any(padding):
            return maps
        grids = ([-(-side // stride) for side in sizes] for stride in self.stage_strides)
        return [found[:, :, :rows, :columns] for found, (rows, columns) in zip(maps, grids, strict=True)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """The four maps (B, C_i, h_i, w_i) of images (B, 3, H, W); see :meth:`stages`."""
        return self.stages(images)[-4:]

    def freeze_stem(self) -> None:
        """Freeze everything up to the map with stride 4: parameters, and statistics of batch normalisation."""
        for name, parameter in self.body.named_parameters():
            if name in self._layout.stem:
                parameter.requires_grad_(False)
        for name, part in self.body.named_modules():
            if isinstance(part, nn.BatchNorm2d) and f"{name}.weight" in self._layout.stem:
                freeze_batch_norm(part)

    def foldable_layers(self) -> list[tuple[str, str]]:
        """The convolutions and the batch normalisation after each, found by running the trunk.

        timm's families connect their layers in many ways, so the trunk runs on one image. A pair counts if both layers
        ran once. Whether something else uses a convolution's output before its norm is not visible; no family in timm
        does so, and the tests compare folded trunks with the original ones.
        """
        made: dict[int, str] = {}
        outputs: list[Tensor] = []  # kept, so that no other tensor gets the id of one of them
        calls: Counter[str] = Counter()
        pairs: list[tuple[str, str]] = []

        def remember(name: str, output: Tensor) -> None:
            calls[name] += 1
            outputs.append(output)
            made[id(output)] = name

        def match(name: str, given: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if id(given[0]) in made:
                pairs.append((made[id(given[0])], name))

        hooks = []
        for name, part in self.named_modules():
            if isinstance(part, nn.Conv2d):
                hooks.append(part.register_forward_hook(lambda _, given, output, name=name: remember(name, output)))
            elif isinstance(part, nn.BatchNorm2d):
                hooks.append(part.register_forward_pre_hook(lambda _, given, name=name: match(name, given)))
        weight = next(self.parameters())
        with torch.no_grad():
            self(weight.new_zeros(1, 3, 64, 64))
        for hook in hooks:
            hook.remove()
        return [(convolution, norm) for convolution, norm in pairs if calls[convolution] == calls[norm] == 1]


def _undo_dilations(body: nn.Module, model: str) -> None:
    """Give a model's convolutions, in place, their dilations in the model with stride 32.

    An even kernel after a removed stride (ConvNeXt's 2x2) keeps the smallest dilation that is symmetric around its
    cell; without it, the map would shift by half a cell.
    """
    with torch.device("meta"):
        plain = {name: part.dilation for name, part in create(model, 32).named_modules() if isinstance(part, nn.Conv2d)}
    for name, part in body.named_modules():
        if not isinstance(part, nn.Conv2d) or part.dilation == plain[name]:
            continue
        wanted = tuple(own if kernel % 2 else 2 for own, kernel in zip(plain[name], part.kernel_size, strict=True))
        if not isinstance(part.padding, str) and any(part.padding):  # else it pads by itself, by its dilation
            part.padding = tuple(d * (kernel - 1) // 2 for d, kernel in zip(wanted, part.kernel_size, strict=True))
        part.dilation = wanted
