"""Class maps in colours, and pictures as text, for pages and notebooks."""

import base64
import io

import numpy as np
from PIL import Image

HEAT = ((0.0, (48, 18, 59)), (0.25, (50, 140, 250)), (0.5, (60, 230, 120)), (0.75, (250, 200, 50)), (1.0, (190, 20, 5)))
"""Colours of a class map's values: violet, blue, green, yellow, red."""


def heat_colours(values: np.ndarray) -> np.ndarray:
    """The colours of a class map (h, w), values in [0, 1]: (h, w, 3) uint8."""
    return _COLOURS[(values.clip(0, 1) * 255).astype(np.uint8)]


def heat_picture(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A class map (h, w) in colours, resized to ``size`` (width, height): (height, width, 3) uint8."""
    small = Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return _COLOURS[np.asarray(small)]


def data_address(image: Image.Image, kind: str, **options: int | bool) -> str:
    """A picture as a ``data:`` address.

    Args:
        image: the picture.
        kind: ``png`` or ``webp``.
        options: Pillow's options for this kind.
    """
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _colours() -> np.ndarray:
    """(256, 3) uint8: the colours of the values 0 to 255."""
    at = [255 * position for position, _ in HEAT]
    channels = [np.interp(np.arange(256), at, [colour[channel] for _, colour in HEAT]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


_COLOURS = _colours()
