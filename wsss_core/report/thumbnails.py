"""Small pictures inside a page: images, class maps as heat, label maps in their palette's colours."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.palette import IGNORED, voc_palette

SIDE = 144
"""Longest side of a thumbnail, pixels."""
IMAGE_QUALITY, HEAT_QUALITY = 75, 55
HEAT = ((0.0, (48, 18, 59)), (0.25, (50, 140, 250)), (0.5, (60, 230, 120)), (0.75, (250, 200, 50)), (1.0, (190, 20, 5)))
"""Colours of a class map's values: from violet over blue, green and yellow to red."""


def image_thumbnail(image: np.ndarray) -> str:
    """An image (H, W, 3) uint8 as a ``data:`` address."""
    return _webp(Image.fromarray(image).resize(thumbnail_size(image.shape), Image.Resampling.BILINEAR), IMAGE_QUALITY)


def heat_thumbnail(values: np.ndarray, size: tuple[int, int]) -> str:
    """A class map (h, w), values in [0, 1], as a ``data:`` address of the thumbnail's size (width, height)."""
    return _webp(Image.fromarray(_heat(values, size)), HEAT_QUALITY)


def image_strip(images: np.ndarray, size: tuple[int, int]) -> str:
    """Images (N, H, W, 3) uint8 side by side, each of the size (width, height), as one ``data:`` address."""
    small = [Image.fromarray(image).resize(size, Image.Resampling.BILINEAR) for image in images]
    return _webp(Image.fromarray(np.concatenate([np.asarray(image) for image in small], axis=1)), IMAGE_QUALITY)


def heat_strip(maps: Sequence[np.ndarray] | np.ndarray, size: tuple[int, int]) -> str:
    """Class maps (h, w), values in [0, 1], side by side, each of the size (width, height), as one ``data:`` address."""
    return _webp(Image.fromarray(np.concatenate([_heat(values, size) for values in maps], axis=1)), HEAT_QUALITY)


def label_thumbnail(labels: np.ndarray, size: tuple[int, int]) -> str:
    """A label map (H, W), uint8 or uint16, as a ``data:`` address; the background is transparent."""
    small = Image.fromarray(palette_values(labels)).resize(size, Image.Resampling.NEAREST)
    small.putpalette(_PALETTE.tobytes())
    return _address(small, "png", transparency=0)


def palette_values(labels: np.ndarray) -> np.ndarray:
    """The palette's rows for a label map (H, W) uint8 or uint16: of over 254 classes some share a colour."""
    rows = np.where(labels > 0, (labels.astype(int) - 1) % 254 + 1, 0)
    return np.where(labels == ignored_in(labels), IGNORED, rows).astype(np.uint8)


def class_colour(value: int) -> str:
    """The colour of a class's value in label maps, as CSS has it."""
    red, green, blue = _PALETTE[(value - 1) % 254 + 1]
    return f"rgb({red} {green} {blue})"


def thumbnail_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the thumbnail of an image of this height and width: never larger than the image."""
    height, width = shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _heat_colours() -> np.ndarray:
    """(256, 3) uint8: the colours of the values 0 to 255."""
    at = [255 * position for position, _ in HEAT]
    channels = [np.interp(np.arange(256), at, [colour[channel] for _, colour in HEAT]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


_HEAT_COLOURS, _PALETTE = _heat_colours(), voc_palette()


def _heat(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A class map (h, w) in colours, of this width and height: (height, width, 3) uint8."""
    small = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return _HEAT_COLOURS[np.asarray(small)]


def _webp(image: Image.Image, quality: int) -> str:
    return _address(image, "webp", quality=quality, method=2)


def _address(image: Image.Image, kind: str, **options: int | bool) -> str:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
