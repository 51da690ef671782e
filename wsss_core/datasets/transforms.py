"""From a decoded image to a network's input, with and without random changes."""

import functools

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from wsss_core.config.training import Augmentation

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
IGNORE = 255
"""Label of pixels that a loss leaves out."""


@functools.cache
def _normalisation_table() -> np.ndarray:
    """The normalised value of each of the 256 pixel values, per channel: (256, 3) float32."""
    values = np.arange(256, dtype=np.float64)[:, None] / 255
    return ((values - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)).astype(np.float32)


def normalise(image: np.ndarray) -> Tensor:
    """Subtract ImageNet's mean and divide by its deviation, channel by channel.

    Computed in float64 and rounded once to float32, as the authors' code does.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (3, H, W) float32.
    """
    normalised = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):
        np.take(_normalisation_table()[:, channel], image[..., channel], out=normalised[channel])
    return torch.from_numpy(normalised)


def rescale(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize by a factor with Pillow's bicubic filter, as IRN and AdvCAM do.

    Args:
        image: (H, W, 3) uint8.
        scale: the factor; the new size is rounded half to even and at least one pixel.

    Returns:
        (round(H scale), round(W scale), 3) uint8; the image itself if its size does not change.
    """
    height, width = (max(1, int(np.round(side * scale))) for side in image.shape[:2])
    return _resize(image, height, width, Image.Resampling.BICUBIC)


def _resize(image: np.ndarray, height: int, width: int, filter_: Image.Resampling) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), filter_))


class TrainingTransform:
    """Random resize, mirror, colours and crop of an image and, alike, of its label map.

    Randomness comes from torch's global generator, which the training loop seeds per sample.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        """Keep the settings."""
        self.augmentation = augmentation

    def __call__(self, image: np.ndarray, labels: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """Change one sample.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: (H, W) uint8, or None.

        Returns:
            Image (3, crop, crop) float32, normalised, 0 where padded; labels (crop, crop) int64, 255
            where padded, or None.
        """
        settings = self.augmentation
        image, labels = self._resized(image, labels)
        if settings.flip and _uniform() < 0.5:
            image = image[:, ::-1]
            labels = labels[:, ::-1] if labels is not None else None
        if settings.colour_jitter > 0:
            image = self._other_colours(image)
        height, width = image.shape[:2]
        top, top_in, rows = self._window(height)
        left, left_in, columns = self._window(width)
        tensor = torch.zeros(3, settings.crop, settings.crop)
        cut = image[top_in : top_in + rows, left_in : left_in + columns]
        tensor[:, top : top + rows, left : left + columns] = normalise(np.ascontiguousarray(cut))
        if labels is None:
            return tensor, None
        label_tensor = torch.full((settings.crop, settings.crop), IGNORE, dtype=torch.int64)
        cut = labels[top_in : top_in + rows, left_in : left_in + columns]
        label_tensor[top : top + rows, left : left + columns] = torch.from_numpy(cut.astype(np.int64))
        return tensor, label_tensor

    def _resized(self, image: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        settings = self.augmentation
        height, width = image.shape[:2]
        if settings.long_side is not None:
            smallest, largest = settings.long_side
            factor = int(torch.randint(smallest, largest + 1, ())) / max(height, width)
        elif settings.scale is not None:
            smallest_scale, largest_scale = settings.scale
            factor = smallest_scale + (largest_scale - smallest_scale) * _uniform()
        else:
            return image, labels
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        if labels is not None:
            labels = _resize(labels, height, width, Image.Resampling.NEAREST)
        return _resize(image, height, width, Image.Resampling.BICUBIC), labels

    def _other_colours(self, image: np.ndarray) -> np.ndarray:
        share = self.augmentation.colour_jitter
        brightness, contrast, saturation, hue = (2 * torch.rand(4) - 1).tolist()
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
        tensor = functional.adjust_brightness(tensor, 1 + share * brightness)
        tensor = functional.adjust_contrast(tensor, 1 + share * contrast)
        tensor = functional.adjust_saturation(tensor, 1 + share * saturation)
        tensor = functional.adjust_hue(tensor, share / 3 * hue)
        return tensor.permute(1, 2, 0).numpy()

    def _window(self, length: int) -> tuple[int, int, int]:
        """Where along one side the crop takes its pixels: position in crop, in image, and number."""
        crop = self.augmentation.crop
        offset = int(torch.randint(abs(crop - length) + 1, ()))
        return (0, offset, crop) if length >= crop else (offset, 0, length)


def _uniform() -> float:
    return float(torch.rand(()))
