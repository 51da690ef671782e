"""Small pictures inside a page: images, class maps as heat, label maps in their palette's colours."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from wsss_core.datasets.overlay import palette_values
from wsss_core.datasets.palette import voc_palette
from wsss_core.files.heat import data_address, heat_picture

SIDE = 144
"""Longest side of a thumbnail, pixels."""
IMAGE_QUALITY, HEAT_QUALITY = 75, 55


def image_thumbnail(image: np.ndarray) -> str:
    """An image (H, W, 3) uint8 as a ``data:`` address."""
    return _webp(Image.fromarray(image).resize(thumbnail_size(image.shape), Image.Resampling.BILINEAR), IMAGE_QUALITY)


def heat_thumbnail(values: np.ndarray, size: tuple[int, int]) -> str:
    """A class map (h, w), values in [0, 1], as a ``data:`` address of the thumbnail's size (width, height)."""
    return _webp(Image.fromarray(heat_picture(values, size)), HEAT_QUALITY)


def image_strip(images: np.ndarray, size: tuple[int, int]) -> str:
    """Images (N, H, W, 3) uint8 side by side, each of the size (width, height), as one ``data:`` address."""
    small = [Image.fromarray(image).resize(size, Image.Resampling.BILINEAR) for image in images]
    return _webp(Image.fromarray(np.concatenate([np.asarray(image) for image in small], axis=1)), IMAGE_QUALITY)


def heat_strip(maps: Sequence[np.ndarray] | np.ndarray, size: tuple[int, int]) -> str:
    """Class maps (h, w), values in [0, 1], side by side, each of the size (width, height), as one ``data:`` address."""
    return _webp(Image.fromarray(np.concatenate([heat_picture(values, size) for values in maps], axis=1)), HEAT_QUALITY)


def label_thumbnail(labels: np.ndarray, size: tuple[int, int]) -> str:
    """A label map (H, W), uint8 or uint16, as a ``data:`` address; the background is transparent."""
    small = Image.fromarray(palette_values(labels)).resize(size, Image.Resampling.NEAREST)
    small.putpalette(_PALETTE.tobytes())
    return data_address(small, "png", transparency=0)


def class_colour(value: int) -> str:
    """The colour of a class's value in label maps, in CSS."""
    red, green, blue = _PALETTE[(value - 1) % 254 + 1]
    return f"rgb({red} {green} {blue})"


def thumbnail_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the thumbnail of an image of this height and width: never larger than the image."""
    height, width = shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


_PALETTE = voc_palette()


def _webp(image: Image.Image, quality: int) -> str:
    return data_address(image, "webp", quality=quality, method=2)
