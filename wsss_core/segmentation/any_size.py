"""Images of any size through a segmenter, with bounded memory.

Networks are trained on images of a few hundred pixels. A photograph of a camera is shrunk before the network sees it,
as ``dataset.long_side`` does it for a data set: on its own size objects would be larger than all that the network has
learned. What comes out is enlarged to the photograph's size, a strip of rows at a time.
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
"""Pixels of an image at its largest scale, at most, whatever the trunk."""
FEATURE_BYTES = 250_000_000
"""Of a trunk's four feature maps, at most; at its peak a forward pass takes about three times as much (measured on
ResNet-50 and ResNet-38)."""
PROBABILITIES = 2**25
"""Probabilities of an image (classes times pixels), at most; the CRF holds them five times."""
ORDINARY_PIXELS = 2**18
"""However many classes there are, an image of so many pixels is not shrunk for their sake."""
STRIP_VALUES = 2**23
"""Probabilities that are enlarged at once."""


def view_pixels(network: SegmentationNetwork) -> float:
    """How many pixels go through a segmenter at once, at most, so that memory holds them."""
    trunk = network.trunk
    bytes_a_pixel = sum(
        4 * channels / stride**2 for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
    )
    return min(VIEW_PIXELS, FEATURE_BYTES / bytes_a_pixel)


def seen_size(size: Size, network: SegmentationNetwork, settings: Prediction, long_side: int | None = None) -> Size:
    """Height and width at which a network sees an image.

    Args:
        size: the image's height and width.
        network: a segmenter.
        settings: the scales at which the image is seen, which are multiples of this size.
        long_side: pixels of the longer side, at most; None lets it be as large as memory allows
            (:func:`view_pixels`, ``PROBABILITIES``).

    Returns:
        ``size`` itself, or a smaller one of the same shape.
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
    return min(rows, int(most) // columns), min(columns, int(most) // rows)  # of a line, whose width stays 1


def shrunken(image: np.ndarray, size: Size) -> np.ndarray:
    """An image (H, W, 3) uint8 at another size, averaging over what each new pixel covers (Lanczos)."""
    if image.shape[:2] == size:
        return image
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))  # writable, as the CRF wants


def probabilities_of_views(network: SegmentationNetwork, image: np.ndarray, settings: Prediction) -> np.ndarray:
    """As :func:`class_probabilities`, on the host; image and mirror image only go together if both are small.

    Args:
        network: a segmenter, on its device.
        image: (H, W, 3) uint8 RGB, of :func:`seen_size`.
        settings: scales, flip, arithmetic.

    Returns:
        (K + 1, H, W) float32, which sum to 1 over the classes.
    """
    pixels = image.shape[0] * image.shape[1] * max(1.0, *settings.scales) ** 2
    with torch.inference_mode():
        if not settings.flip or 2 * pixels <= view_pixels(network):
            return _on_host(class_probabilities(network, image, settings))
        alone = settings.model_copy(update={"flip": False})
        total = class_probabilities(network, image, alone)
        total += class_probabilities(network, image[:, ::-1], alone).flip(2)
        return _on_host(total.div_(2))


def labels_of_size(probabilities: np.ndarray, size: Size) -> np.ndarray:
    """The class with the largest probability at each pixel of an image that was shrunk, or not.

    Args:
        probabilities: (K + 1, h, w), the background first.
        size: the image's height and width.

    Returns:
        (H, W), of the dtype of label maps of K classes: of the probabilities, enlarged bilinearly, the largest.
    """
    if probabilities.shape[1:] == size:
        return largest_labels(probabilities)
    classes, rows, _ = probabilities.shape
    height, width = size
    given, labels = torch.from_numpy(probabilities), np.empty(size, label_type(classes - 1))
    for strip in strips(height, width, STRIP_VALUES // classes):
        # The centres of the strip's rows, in rows of the probabilities; as torch's bilinear interpolation has it.
        centres = ((torch.arange(strip.start, strip.stop) + 0.5) * rows / height - 0.5).clamp(0, rows - 1)
        above = centres.floor().long()
        below = (above + 1).clamp(max=rows - 1)
        wanted = torch.lerp(given[:, above], given[:, below], (centres - above)[None, :, None].to(given.dtype))
        enlarged = functional.interpolate(wanted[None], (len(centres), width), mode="bilinear", align_corners=False)
        labels[strip] = enlarged[0].argmax(dim=0).numpy()
    return labels


def _on_host(probabilities: Tensor) -> np.ndarray:
    return probabilities.float().cpu().numpy()
