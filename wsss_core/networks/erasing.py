"""Erasing from an image what class maps cover, softly: CGNet's objective, and looking at what a classifier has left."""

import torch
from torch import Tensor

from wsss_core.networks.resizing import resized

EPSILON = 1e-5
"""Keeps an empty map from being divided by zero; OC-CSE's value."""


def erasing_mask(maps: Tensor, size: torch.Size | tuple[int, int], maximum: str = "batch") -> Tensor:
    """How much of each pixel is erased, as in OC-CSE ``models/model_cse.py``.

    Args:
        maps: class maps (B, K, h, w), those of classes that are not erased 0.
        size: height and width of the images.
        maximum: ``batch`` or ``image``: what is scaled to 1.

    Returns:
        (B, 1, H, W) in [0, 1): the largest of the image's maps, bilinearly resized, rectified, divided by the
        maximum. Differentiable, through the maximum too.
    """
    enlarged = resized(maps, size)
    largest = enlarged.relu().amax(dim=1, keepdim=True)
    highest = largest.max() if maximum == "batch" else largest.amax(dim=(1, 2, 3), keepdim=True)
    return largest / (highest + EPSILON)
