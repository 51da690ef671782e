"""SeeNet's maps: the larger of both branches', and of the image's and its mirror image's.

Hou et al., NeurIPS 2018, section 3.4; what is computed is what SeeNet ``vis.ipynb`` computes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.cams.map_sizes import SummedMaps, small_size
from wsss_core.config.cams import SeenetCams
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.networks.self_erasing import EPSILON, SelfErasingClassifier


def seenet_class_maps(
    classifier: SelfErasingClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: SeenetCams
) -> SummedMaps:
    """Fuse the branches' maps; the trunk sees the image and its mirror image once.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows, ascending.
        parameters: size, thresholds, whose attention is erased.
    """
    weight = next(classifier.parameters())
    height, width = image.shape[:2]
    with torch.inference_mode():
        batch = _network_input(image, parameters.size).to(weight)[None]  # (1, 3, h, w)
        if parameters.flip:
            batch = torch.cat([batch, batch.flip(3)])
        features, maps = classifier.features(batch), []
        for position, class_index in enumerate(class_indices):
            labels = torch.zeros(len(batch), len(classifier.classes)).to(weight)
            attended = class_indices[: position + 1] if parameters.attend_to == "earlier_classes" else [class_index]
            labels[:, list(attended)] = 1
            views = classifier.branch_maps(features, labels, parameters.high_threshold, parameters.low_threshold)
            maps.append(_fused(views.first[:, class_index], views.second[:, class_index], (height, width)))
        full = torch.stack(maps)  # (K, H, W)
        small = functional.interpolate(
            full[None], size=small_size(height, width), mode="bilinear", align_corners=False, antialias=True
        )[0]
    return SummedMaps(height, width, cam=small, high_res=full if parameters.high_res else 0.0)


def _network_input(image: np.ndarray, size: int | None) -> Tensor:
    """The image (H, W, 3) normalised, (3, size, size), resized as OpenCV does: cubic, without a wider filter
    for smaller images, values not clipped.
    """
    pixels = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)  # (3, H, W)
    if size is not None:
        pixels = _cubic(pixels, (size, size))
    mean, deviation = (
        torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STANDARD_DEVIATION)
    )
    return (pixels / 255 - mean) / deviation


def _cubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, h, w) by cubic interpolation (a = -0.75, as OpenCV's)."""
    return functional.interpolate(maps[None], size=size, mode="bicubic", align_corners=False)[0]


def _fused(first: Tensor, second: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps of the branches (1 or 2, h, w), the second view mirrored, to one map (H, W) in [0, 1]."""
    scaled = []
    for branch in (first, second):
        rectified = _cubic(branch, size).relu()
        scaled.append(rectified / (rectified.amax(dim=(1, 2), keepdim=True) + EPSILON))
    views = torch.maximum(*scaled)
    return views[0] if len(views) == 1 else torch.maximum(views[0], views[1].flip(1))
