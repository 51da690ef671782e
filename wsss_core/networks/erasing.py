"""Soft erasing of the image under class maps: for CGNet's objective, and for checking what a classifier still sees."""

import torch
from torch import Tensor

from wsss_core.networks.resizing import resized

EPSILON = 1e-5
"""Prevents division by zero for an empty map; OC-CSE's value."""


def erasing_mask(maps: Tensor, size: torch.Size | tuple[int, int], maximum: str = "batch") -> Tensor:
    """The proportion of each pixel to erase, as in OC-CSE ``models/model_cse.py``.

    Args:
        maps: class maps (B, K, h, w), 0 for classes that are not erased.
        size: height and width of the images.
        maximum: ``batch`` or ``image``: divide by the maximum of the batch or of each image.

    Returns:
        (B, 1, H, W) in [0, 1): the largest of the image's maps, bilinearly resized, rectified, divided by the maximum.
        Differentiable, also through the maximum.
    """
    enlarged = resized(maps, size)
    largest = enlarged.relu().amax(dim=1, keepdim=True)
    highest = largest.max() if maximum == "batch" else largest.amax(dim=(1, 2, 3), keepdim=True)
    return largest / (highest + EPSILON)
