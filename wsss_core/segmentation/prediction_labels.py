"""From class probabilities to labels. Worker processes import this module, so it does not import torch."""

import numpy as np

from wsss_core.config.crf import Crf
from wsss_core.datasets.label_values import label_type


def largest_labels(probabilities: np.ndarray) -> np.ndarray:
    """The class with the largest probability at each pixel; of equal ones, the first.

    Args:
        probabilities: (K + 1, H, W), the background first.

    Returns:
        (H, W), of the dtype of label maps of K classes.
    """
    return probabilities.argmax(axis=0).astype(label_type(len(probabilities) - 1))


def refined_probabilities(image: np.ndarray, probabilities: np.ndarray, crf: Crf | None) -> np.ndarray:
    """Probabilities after a dense CRF, if there is one.

    Args:
        image: (H, W, 3) uint8 RGB.
        probabilities: (K + 1, H, W), the background first.
        crf: constants of the CRF; None does not change the probabilities.

    Raises:
        UserError: pydensecrf is not installed.
    """
    if crf is None:
        return probabilities
    from wsss_core.refinement.crf import dense_crf

    return dense_crf(image, probabilities, crf)


def refined_labels(image: np.ndarray, probabilities: np.ndarray, crf: Crf | None) -> np.ndarray:
    """The :func:`largest_labels` of :func:`refined_probabilities`."""
    return largest_labels(refined_probabilities(image, probabilities, crf))
