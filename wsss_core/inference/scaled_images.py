"""Prepares images of one size for a network: rescales them as bytes, and normalises them on the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsss_core.datasets.transforms import normalised, rescale
from wsss_core.jobs.devices import moved

CPU_PIXELS = 2**21
"""Pixels that go through a network at once on a CPU: forward and backward, a ResNet-50 needs 2 to 4 GB for them."""
BYTES_A_PIXEL = 8192
"""GPU memory for each pixel. For the backward pass, a ResNet-50 keeps 0.9 kB a pixel at output stride 16 and 1.8 kB at
8, and ResNet-38 4.4 kB; gradients, workspaces and the sums of maps are added."""


@dataclass(frozen=True)
class ScaledImages:
    """N images of one size at several scales, as the input of a network."""

    height: int
    """Of the images, pixels."""
    width: int
    """Of the images, pixels."""
    scaled: tuple[Tensor, ...]
    """(N, 3, h, w) for each scale, normalised."""


@dataclass(frozen=True)
class ScaledBytes:
    """The same before the transfer to the device: one byte for each number."""

    height: int
    """Of the images, pixels."""
    width: int
    """Of the images, pixels."""
    scaled: tuple[Tensor, ...]
    """(N, h, w, 3) uint8 RGB for each scale."""

    def pinned(self) -> "ScaledBytes":
        """The same in pinned memory, from which a GPU copies without the CPU."""
        return ScaledBytes(self.height, self.width, tuple(images.pin_memory() for images in self.scaled))

    def some(self, piece: slice) -> "ScaledBytes":
        """Some of the images."""
        return ScaledBytes(self.height, self.width, tuple(images[piece] for images in self.scaled))

    def sent_to(self, weight: Tensor) -> ScaledImages:
        """Send the images to a weight's device and normalise them there, in its dtype, without waiting."""
        there = (normalised(moved(images, weight.device)).to(weight.dtype) for images in self.scaled)
        return ScaledImages(self.height, self.width, tuple(there))


def scaled_images(images: Sequence[np.ndarray], scales: Sequence[float]) -> ScaledBytes:
    """Rescale images (H, W, 3) uint8 RGB of one size, on the CPU."""
    height, width = images[0].shape[:2]
    scaled = (torch.from_numpy(np.stack([rescale(image, scale) for image in images])) for scale in scales)
    return ScaledBytes(height, width, tuple(scaled))


def pixels_at_once(device: torch.device) -> int:
    """How many pixels may go forward and backward through a network at once.

    This depends on the device's total memory, not on free memory: the same run on the same device has to give the same
    bytes, and rounding depends on what is computed together.
    """
    if device.type != "cuda":
        return CPU_PIXELS
    return torch.cuda.get_device_properties(device).total_memory // BYTES_A_PIXEL
