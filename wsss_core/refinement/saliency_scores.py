"""Scores from class maps and a saliency map: SeeNet's proxy labels.

Separate from the code that processes a data set, so that a worker process does not import torch.
"""

from pathlib import Path

import numpy as np

from wsss_core.datasets.images import read_saliency_map
from wsss_core.errors import UserError


def saliency_scores(class_maps: np.ndarray, saliency: np.ndarray, attention_weight: float) -> np.ndarray:
    """Scores of the background and of each class.

    With the saliency S and a class map A, both from 0 to 1, the background's score is 1 - S, and the class's is their
    weighted harmonic mean, (w + 1) / (w / A + 1 / S), which is 0 if either is 0. So a pixel becomes an object if both
    agree, and a salient pixel without a class stays background if S is below one half.

    Source: Hou et al., "Self-Erasing Network for Integral Object Attention", NeurIPS 2018, the section on semantic
    segmentation (from memory; no code was released); the mean is from Chaudhry et al., "Discovering Class-Specific
    Pixels for Weakly-Supervised Semantic Segmentation", BMVC 2017.

    Args:
        class_maps: (K, H, W), values in [0, 1].
        saliency: (H, W), values in [0, 1].
        attention_weight: w, the weight of the class maps.

    Returns:
        float32 (K + 1, H, W), values in [0, 1], the background first.
    """
    maps, saliency = class_maps.astype(np.float32, copy=False), saliency.astype(np.float32, copy=False)[None]
    weight = np.float32(attention_weight)
    below = weight * saliency + maps
    means = np.divide((weight + 1) * maps * saliency, below, out=np.zeros_like(maps), where=below > 0)
    return np.concatenate([1 - saliency, means])


def read_fitting_saliency(path: Path, height: int, width: int) -> np.ndarray:
    """Read a saliency map, float32 (H, W) from 0 to 1, and check that it has an image's size.

    Raises:
        UserError: it cannot be read, or has another size.
    """
    saliency = read_saliency_map(path)
    if saliency.shape != (height, width):
        raise UserError(
            f"{path}: the saliency map is {saliency.shape[0]} x {saliency.shape[1]} pixels, its image {height} x "
            f"{width}; it has changed since it was checked, so check the saliency maps again"
        )
    return saliency.astype(np.float32) / 255
