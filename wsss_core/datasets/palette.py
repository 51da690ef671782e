"""Label maps on disk: 8-bit PNG files with PASCAL VOC's colour palette, or 16-bit grey ones (``label_values``)."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsss_core.files.atomic import atomic_path

IGNORED = 255
"""The value of ignored pixels in an 8-bit label map: losses and scores leave them out."""


def voc_palette() -> np.ndarray:
    """PASCAL VOC's colours for the values of a label map.

    The three lowest bits of a value become the highest bits of red, green and blue, the next three bits the second
    highest, and so on, so that neighbouring values get very different colours.

    Returns:
        uint8 (256, 3), red, green and blue; row 0 (background) is black and row 255 (ignored) is cream.
    """
    values = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for channel in range(3):
        for group in range(3):
            bit = values >> (3 * group + channel) & 1
            palette[:, channel] |= (bit << (7 - group)).astype(np.uint8)
    return palette


def label_image(labels: np.ndarray) -> Image.Image:
    """A label map as a Pillow image: of mode P with PASCAL VOC's palette, or of 16-bit grey.

    Args:
        labels: uint8 or uint16 (H, W).

    Raises:
        ValueError: ``labels`` has another dtype or is not two-dimensional.
    """
    if labels.dtype not in (np.uint8, np.uint16) or labels.ndim != 2:
        raise ValueError(f"a label map is uint8 (height, width), not {labels.dtype} of shape {labels.shape}")
    image = Image.fromarray(labels)
    if labels.dtype == np.uint16:
        return image
    image.putpalette(voc_palette().tobytes())
    return image


def write_label_map(path: Path | str, labels: np.ndarray) -> None:
    """Write a label map as a PNG file, atomically; equal labels give equal bytes.

    Args:
        path: the file to write; its folder is made if missing.
        labels: uint8 or uint16 (H, W).

    Raises:
        ValueError: ``labels`` has another dtype or is not two-dimensional.
    """
    image = label_image(labels)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
