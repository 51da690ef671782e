"""Images on their way into a network: normalisation and rescaling."""

from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wsss_core.jobs.devices import moved

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, red, green and blue, on the 0..1 scale."""

# The normalised values of the 256 values of an 8-bit pixel, computed in float64 and stored as float32, as in the
# authors' code. (3, 256)
_NORMALISED = ((np.arange(256) / 255.0 - np.c_[list(MEAN)]) / np.c_[list(STANDARD_DEVIATION)]).astype(np.float32)


def normalise(image: np.ndarray) -> Tensor:
    """Normalise an image as for training: (value / 255 - mean) / deviation.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (3, H, W) float32, rounded once from the float64 result (IRN ``voc12/dataloader.py``).
    """
    channels = np.empty((3, *image.shape[:2]), dtype=np.float32)
    for channel in range(3):
        np.take(_NORMALISED[channel], image[..., channel], out=channels[channel])
    return torch.from_numpy(channels)


def normalised(images: Tensor) -> Tensor:
    """The same for images (N, H, W, 3) uint8, on their device: (N, 3, H, W) float32, bit by bit equal."""
    table = _table_on(images.device)
    pixels = images.permute(0, 3, 1, 2).to(torch.int32, memory_format=torch.contiguous_format)
    return table[pixels + torch.arange(0, 768, 256, dtype=torch.int32, device=images.device)[:, None, None]]


@cache
def _table_on(device: torch.device) -> Tensor:
    """The values of red, then of green, then of blue pixels, (768,) float32."""
    return moved(torch.from_numpy(_NORMALISED.reshape(-1)), device)


def rescaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Height and width times ``scale``, rounded half to even as NumPy does, at least 1."""
    return max(1, int(np.round(height * scale))), max(1, int(np.round(width * scale)))


def rescale(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize an image by a factor (IRN ``misc/imutils.py``).

    Args:
        image: (H, W, 3) uint8.
        scale: above 0.

    Returns:
        uint8 (:func:`rescaled_size`, 3), Pillow's bicubic; ``image`` itself if its size is kept.
    """
    return resize(image, rescaled_size(image.shape[0], image.shape[1], scale), Image.Resampling.BICUBIC)


def resize(image: np.ndarray, size: tuple[int, int], filter_: Image.Resampling) -> np.ndarray:
    """Resize (H, W) or (H, W, 3) uint8 to ``size`` (height, width)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], filter_))
