"""Runs images of any size through a segmenter, with bounded memory.

Networks are trained on images of a few hundred pixels. A camera's photograph is shrunk before the network sees it, as
``dataset.long_side`` does for a data set: at its own size, objects would be larger than any that the network has
learned. The result is enlarged to the photograph's size, a strip of rows at a time.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.label_values import label_type
from wsss_core.datasets.overlay import strips
from wsss_core.datasets.shrinking import Size, shrunken_size
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.segmentation.class_probabilities import class_probabilities
from wsss_core.segmentation.prediction_labels import largest_labels

VIEW_PIXELS = 1_200_000
"""The most pixels of an image at its largest scale, for any trunk."""
FEATURE_BYTES = 250_000_000
"""The most bytes of a trunk's four feature maps; at its peak, a forward pass takes about three times as much (measured
on ResNet-50 and ResNet-38)."""
PROBABILITIES = 2**25
"""The most probabilities of an image (classes times pixels); the CRF holds five copies."""
ORDINARY_PIXELS = 2**18
"""An image of at most this many pixels is not shrunk because of its probabilities, for any number of classes."""
STRIP_VALUES = 2**23
"""Probabilities that are enlarged at once."""


def view_pixels(network: SegmentationNetwork) -> float:
    """The most pixels that can go through a segmenter at once with bounded memory."""
    trunk = network.trunk
    bytes_a_pixel = sum(
        4 * channels / stride**2 for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
    )
    return min(VIEW_PIXELS, FEATURE_BYTES / bytes_a_pixel)


def seen_size(size: Size, network: SegmentationNetwork, settings: Prediction, long_side: int | None = None) -> Size:
    """Height and width of an image as the network sees it.

    Args:
        size: the image's height and width.
        network: a segmenter.
        settings: has the scales, which are multiples of this size.
        long_side: the most pixels of the longer side; None allows as many as memory does (:func:`view_pixels`,
            ``PROBABILITIES``).

    Returns:
        ``size``, or a smaller size of the same shape.
    """
    if long_side is not None:
        return shrunken_size(size, long_side)
    height, width = size
    for_network = view_pixels(network) / max(1.0, *settings.scales) ** 2
    most = min(for_network, max(ORDINARY_PIXELS, PROBABILITIES / len(network.classes)))
    if height * width <= most:
        return size
    factor = math.sqrt(most / (height * width))
    rows, columns = max(1, int(height * factor)), max(1, int(width * factor))
    return min(rows, int(most) // columns), min(columns, int(most) // rows)  # for a line, whose width is 1 anyway


def shrunken(image: np.ndarray, size: Size) -> np.ndarray:
    """An image (H, W, 3) uint8 at another size, averaging over what each new pixel covers (Lanczos)."""
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))  # writable, for the CRF


def probabilities_of_views(network: SegmentationNetwork, image: np.ndarray, settings: Prediction) -> np.ndarray:
    """As :func:`class_probabilities`, but on the host; a large image and its mirror image are computed separately.

    Args:
        network: a segmenter, on its device.
        image: (H, W, 3) uint8 RGB, of :func:`seen_size`.
        settings: scales, flip, arithmetic.

    Returns:
        (K + 1, H, W) float32, summing to 1 over the classes.
    """
    pixels = image.shape[0] * image.shape[1] * max(1.0, *settings.scales) ** 2
    with torch.inference_mode():
        if not settings.flip or 2 * pixels <= view_pixels(network):
            return _on_host(class_probabilities(network, image, settings))
        one_view = settings.model_copy(update={"flip": False})
        total = class_probabilities(network, image, one_view)
        total += class_probabilities(network, image[:, ::-1], one_view).flip(2)
        return _on_host(total.div_(2))


def labels_of_size(probabilities: np.ndarray, size: Size) -> np.ndarray:
    """The class with the largest probability at each pixel of an image, which may have been shrunk.

    Args:
        probabilities: (K + 1, h, w), the background first; enlarged bilinearly.
        size: the image's height and width.

    Returns:
        (H, W), of the dtype of label maps of K classes.
    """
    if probabilities.shape[1:] == size:
        return largest_labels(probabilities)
    classes, rows, _ = probabilities.shape
    height, width = size
    given, labels = torch.from_numpy(probabilities), np.empty(size, label_type(classes - 1))
    for strip in strips(height, width, STRIP_VALUES // classes):
        # The centres of the strip's rows, in rows of the probabilities, as in torch's bilinear interpolation.
        centres = ((torch.arange(strip.start, strip.stop) + 0.5) * rows / height - 0.5).clamp(0, rows - 1)
        above = centres.floor().long()
        below = (above + 1).clamp(max=rows - 1)
        wanted = torch.lerp(given[:, above], given[:, below], (centres - above)[None, :, None].to(given.dtype))
        enlarged = functional.interpolate(wanted[None], (len(centres), width), mode="bilinear", align_corners=False)
        labels[strip] = enlarged[0].argmax(dim=0).numpy()
    return labels


def _on_host(probabilities: Tensor) -> np.ndarray:
    return probabilities.float().cpu().numpy()
