"""Draws a label map in its palette's colours over its image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.palette import IGNORED, voc_palette
from wsss_core.files.atomic import atomic_path

STRIP_PIXELS = 2**20
"""Pixels that are coloured at once: the intermediate float values take a hundred times the bytes."""
JPEG_QUALITY = 90
_PALETTE = voc_palette()


def palette_values(labels: np.ndarray) -> np.ndarray:
    """The palette's rows for a label map (H, W) uint8 or uint16; with more than 254 classes some share a colour."""
    rows = np.where(labels > 0, (labels.astype(int) - 1) % 254 + 1, 0)
    return np.where(labels == ignored_in(labels), IGNORED, rows).astype(np.uint8)


def labels_over(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A label map (H, W) in its palette's colours over the image (H, W, 3) uint8: (H, W, 3) in [0, 1]."""
    opacity = np.where(labels == 0, 0.25, 0.75)[..., None]
    return (1 - opacity) * image / 255 + opacity * _PALETTE[palette_values(labels)] / 255


def overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As :func:`labels_over`, but uint8 and with little memory for an image of any size.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 or uint16.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    coloured = np.empty_like(image)
    for rows in strips(labels.shape[0], labels.shape[1], STRIP_PIXELS):
        coloured[rows] = (255 * labels_over(image[rows], labels[rows])).round().astype(np.uint8)
    return coloured


def write_overlay(path: Path | str, image: np.ndarray, labels: np.ndarray) -> None:
    """Write :func:`overlay` as a JPEG file, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(overlay(image, labels)).save(temporary, format="JPEG", quality=JPEG_QUALITY)


def strips(height: int, width: int, pixels: int) -> Iterator[slice]:
    """The rows of an image, from top to bottom, in parts of at most ``pixels`` pixels (but at least a row)."""
    rows = max(1, pixels // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
