"""The labels of one image, for programs of one's own; the workflow predicts those of a data set (``predict``)."""

from pathlib import Path

import numpy as np
import torch

from wsss_core.config.segmentation import Prediction
from wsss_core.datasets.images import read_image
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.segmentation.class_probabilities import class_probabilities
from wsss_core.segmentation.prediction_labels import refined_labels

DEFAULT = Prediction(scales=(1.0,), crf=None)
"""At the image's own size, without a CRF."""


def segment(
    segmenter: SegmentationNetwork, image: np.ndarray | Path | str, settings: Prediction = DEFAULT
) -> np.ndarray:
    """Label the pixels of one image.

    Args:
        segmenter: of :func:`wsss_core.load_segmenter`, on its device.
        image: (H, W, 3) uint8 RGB, or an image file.
        settings: scales, flip, CRF.

    Returns:
        (H, W): positions in ``segmenter.classes``, of which 0 is the background.

    Raises:
        UserError: the image cannot be read.
    """
    pixels = image if isinstance(image, np.ndarray) else read_image(image)
    with torch.inference_mode():
        probabilities = class_probabilities(segmenter, pixels, settings).float().cpu().numpy()
    return refined_labels(pixels, probabilities, settings.crf)
