"""Labels one image, for users' programs; ``segment_images`` labels files, and ``predict`` a data set."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import pixels_of, read_image
from wsss_core.datasets.overlay import overlay, palette_values
from wsss_core.datasets.palette import voc_palette
from wsss_core.datasets.shrinking import shrunken_size
from wsss_core.errors import UserError
from wsss_core.files.heat import data_address
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.segmentation.any_size import labels_of_size, probabilities_of_views, seen_size, shrunken
from wsss_core.segmentation.prediction_labels import refined_probabilities

DEFAULT = Prediction(scales=(1.0,), flip=False, crf=None)
"""One pass at the image's own size, without a CRF, like the exported ONNX file."""
SIDE = 320
"""Longest side of a picture in a notebook, pixels."""


@dataclass(frozen=True)
class SegmentedImage:
    """An image and its labels. A notebook shows it as pictures; NumPy converts it to the array of labels."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    labels: np.ndarray
    """(H, W) uint8, or uint16 with more than 254 classes: positions in ``classes``."""
    classes: tuple[str, ...]
    """Names of the classes, ``background`` first."""
    probabilities: np.ndarray
    """(K + 1, h, w) float32, before the CRF, at the size at which the network saw the image."""

    def shares(self) -> dict[str, float]:
        """For each class in the labels, its share of the pixels, in class order."""
        values, counts = np.unique(self.labels, return_counts=True)
        return {
            self.classes[value]: float(count / self.labels.size) for value, count in zip(values, counts, strict=True)
        }

    def overlay(self) -> np.ndarray:
        """The labels in colours over the image, (H, W, 3) uint8 RGB."""
        return overlay(self.image, self.labels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.labels, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        """The form in a notebook."""
        height, width = shrunken_size(self.labels.shape, SIDE)  # type: ignore[arg-type]
        pictures = []
        for what, pixels in (("the image", self.image), ("its labels", self.overlay())):
            address = data_address(Image.fromarray(pixels).resize((width, height)), "webp", quality=80)
            pictures.append(f'<img src="{address}" width="{width}" height="{height}" alt="{what}" style="margin:4px">')
        lines = []
        for name, share in self.shares().items():
            value = palette_values(np.array([self.classes.index(name)], self.labels.dtype))[0]
            red, green, blue = voc_palette()[value]
            box = f'<span style="background:rgb({red} {green} {blue});padding:0 .6em;margin-right:.4em"></span>'
            lines.append(f"<span style='margin-right:1em'>{box}{escape(name)} {share:.1%}</span>")
        return f"<div>{''.join(pictures)}<br>{' '.join(lines)}</div>"


def segment(
    segmenter: SegmentationNetwork,
    image: np.ndarray | Image.Image | Path | str,
    settings: Prediction = DEFAULT,
    long_side: int | None = None,
) -> SegmentedImage:
    """Label the pixels of one image.

    Args:
        segmenter: from :func:`wsss_core.load_segmenter`, on its device.
        image: (H, W, 3) uint8 RGB, a Pillow image, or an image file; the last two are read in the same way
            (:func:`wsss_core.datasets.images.read_image`).
        settings: scales, flip, CRF.
        long_side: the longest side, in pixels, of the image that the network sees: ``dataset.long_side`` of its
            training images. By default only images too large for memory are shrunk
            (:func:`wsss_core.segmentation.any_size.seen_size`).

    Returns:
        The labels, at the image's own size.

    Raises:
        UserError: the image cannot be read, or the array is not an image.
        TypeError: an argument is not a segmenter or not an image.
    """
    if not isinstance(segmenter, SegmentationNetwork):
        raise TypeError(
            f"segment takes a network from wsss_core.load_segmenter, and then an image; not {type(segmenter).__name__}"
        )
    pixels = _pixels(image)
    size: tuple[int, int] = (pixels.shape[0], pixels.shape[1])
    seen = shrunken(pixels, seen_size(size, segmenter, settings, long_side))
    probabilities = probabilities_of_views(segmenter, seen, settings)
    labels = labels_of_size(refined_probabilities(seen, probabilities, settings.crf), size)
    return SegmentedImage(pixels, labels, tuple(segmenter.classes), probabilities)


def _pixels(image: object) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB."""
    if isinstance(image, Image.Image):
        image = pixels_of(image)
    elif isinstance(image, (str, Path)):
        image = read_image(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is an array, a Pillow image, or a file's path; not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UserError(
            f"the image is an array of shape {image.shape} and type {image.dtype}; it has to be (height, width, 3) and "
            "uint8: red, green and blue from 0 to 255"
        )
    return image
