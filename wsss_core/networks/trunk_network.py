"""The interface of trunks: networks that turn an image into feature maps, shallow to deep."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from wsss_core.config.registry import Registry


class TrunkNetwork(nn.Module, ABC):
    """A trunk; your own registers itself: ``class Mine(TrunkNetwork, name="mine")``.

    ``network: mine`` in the configuration then builds it with ``Mine(settings)``, where the same file registers the
    settings for ``backbones``.

    Attributes:
        channels: channels of the four maps.
        strides: pixels of the image for each cell of those maps, in both directions; powers of 2 that do not decrease.
        stage_channels: the same for the maps of :meth:`stages`.
        stage_strides: the same for the maps of :meth:`stages`.
        pixel_scale: ``imagenet``, or ``caffe`` for weights that need Caffe's pixels.
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
            Four tensors (B, C_i, h_i, w_i), with C_i from ``channels`` and h_i about H / ``strides``[i], rounded up.
        """

    @abstractmethod
    def freeze_stem(self) -> None:
        """Freeze the first layers: no gradients, and batch normalisation in evaluation mode."""

    def stages(self, images: Tensor) -> list[Tensor]:
        """All maps that IRN uses: those of :meth:`forward`, in some trunks with a shallower one before them."""
        return self.forward(images)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the maps of :meth:`stages`."""
        return self.channels

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Pixels of the image for each cell of the maps of :meth:`stages`."""
        return self.strides


TRUNKS: Registry[type[TrunkNetwork]] = Registry("wsss_core.networks", "backbones")
"""Trunks of extensions, by their name for ``network`` in the configuration."""
