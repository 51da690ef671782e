"""What every trunk is: a network that turns an image into feature maps, shallow to deep."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from wsss_core.config.registry import Registry


class TrunkNetwork(nn.Module, ABC):
    """A trunk; one of your own registers itself: ``class Mine(TrunkNetwork, name="mine")``.

    ``network: mine`` in the configuration then builds it with ``Mine(settings)``, where ``settings`` are those that
    the same file registers for ``backbones``.

    Attributes:
        channels: channels of the four maps.
        strides: pixels of the image per cell of those maps, each way; powers of 2 that do not fall.
        stage_channels: the same of the maps of :meth:`stages`.
        stage_strides: the same of the maps of :meth:`stages`.
        pixel_scale: ``imagenet``, or ``caffe`` for weights that see Caffe's pixels.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    pixel_scale: str = "imagenet"

    def __init_subclass__(cls, name: str | None = None) -> None:
        """Register the trunk, if it has a name."""
        super().__init_subclass__()
        if name is not None:
            TRUNKS.add(name, cls, cls.__module__)

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps.

        Args:
            images: (B, 3, H, W) float, normalised by ImageNet's mean and deviation; any size from 1x1.

        Returns:
            Four tensors (B, C_i, h_i, w_i), with C_i of ``channels`` and h_i about H / ``strides``[i], rounded up.
        """

    @abstractmethod
    def freeze_stem(self) -> None:
        """Keep the first layers as they are: no gradients, and batch normalisation in evaluation mode."""

    def stages(self, images: Tensor) -> list[Tensor]:
        """All maps that IRN looks at: those of :meth:`forward`, in some trunks with a shallower one before them."""
        return self.forward(images)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the maps of :meth:`stages`."""
        return self.channels

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Pixels of the image per cell of the maps of :meth:`stages`."""
        return self.strides


TRUNKS: Registry[type[TrunkNetwork]] = Registry("wsss_core.networks", "backbones")
"""Trunks of extensions, by the name that ``network`` has in the configuration."""
