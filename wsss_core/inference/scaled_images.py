"""Images of one size on their way into a network: at each scale, as bytes, and normalised on the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsss_core.datasets.transforms import normalised, rescale
from wsss_core.jobs.devices import moved

CPU_PIXELS = 2**21
"""Pixels that go through a network at once on a CPU: with their way back a ResNet-50 needs 2 to 4 GB for them."""
BYTES_A_PIXEL = 8192
"""Of a GPU's memory for each pixel. For the way back a ResNet-50 keeps 0.9 kB a pixel at output stride 16 and 1.8 at 8,
ResNet-38 keeps 4.4; gradients, workspaces and the sums of maps come on top."""


@dataclass(frozen=True)
class ScaledImages:
    """N images of one size at several scales, as a network sees them."""

    height: int
    """Of the images, pixels."""
    width: int
    """Of the images, pixels."""
    scaled: tuple[Tensor, ...]
    """(N, 3, h, w) for each scale, normalised."""


@dataclass(frozen=True)
class ScaledBytes:
    """The same as they travel to the device: a byte for each number."""

    height: int
    """Of the images, pixels."""
    width: int
    """Of the images, pixels."""
    scaled: tuple[Tensor, ...]
    """(N, h, w, 3) uint8 RGB for each scale."""

    def pinned(self) -> "ScaledBytes":
        """The same in memory that a GPU copies from by itself."""
        return ScaledBytes(self.height, self.width, tuple(images.pin_memory() for images in self.scaled))

    def some(self, piece: slice) -> "ScaledBytes":
        """Some of the images."""
        return ScaledBytes(self.height, self.width, tuple(images[piece] for images in self.scaled))

    def sent_to(self, weight: Tensor) -> ScaledImages:
        """Normalised on a weight's device, in its number format; nobody waits for it."""
        there = (normalised(moved(images, weight.device)).to(weight.dtype) for images in self.scaled)
        return ScaledImages(self.height, self.width, tuple(there))


def scaled_images(images: Sequence[np.ndarray], scales: Sequence[float]) -> ScaledBytes:
    """Rescale images (H, W, 3) uint8 RGB of one size, on the CPU."""
    height, width = images[0].shape[:2]
    scaled = (torch.from_numpy(np.stack([rescale(image, scale) for image in images])) for scale in scales)
    return ScaledBytes(height, width, tuple(scaled))


def pixels_at_once(device: torch.device) -> int:
    """How many pixels may go through a network, and back, at once.

    It depends on what memory the device has, not on what is free: the same run on the same device has to
    give the same bytes, and rounding depends on what is computed side by side.
    """
    if device.type != "cuda":
        return CPU_PIXELS
    return torch.cuda.get_device_properties(device).total_memory // BYTES_A_PIXEL
