"""SeeNet's maps: the maximum over both branches, and over the image and its mirror image.

Hou et al., NeurIPS 2018, section 3.4; computes what SeeNet ``vis.ipynb`` computes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.cams.map_sizes import SummedMaps, small_size
from wsss_core.cams.methods import cam_method
from wsss_core.config.cams import SeenetCams
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION, rescaled_size
from wsss_core.errors import UserError
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.self_erasing import EPSILON, SelfErasingClassifier


@cam_method("seenet")
def seenet_class_maps(
    classifier: SelfErasingClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: SeenetCams
) -> SummedMaps:
    """Fuse the branches' maps; the trunk sees the image and its mirror image once for each scale.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows, ascending.
        parameters: size, scales, thresholds, classes whose attention is erased.
    """
    if not isinstance(classifier, SelfErasingClassifier):
        raise UserError("method seenet needs SeeNet's network; derive the objective from SeenetObjective, too")
    weight = next(classifier.parameters())
    height, width = image.shape[:2]
    base = (height, width) if parameters.size is None else (parameters.size, parameters.size)
    total = weight.new_zeros(len(class_indices), height, width)
    with torch.inference_mode():
        for scale in parameters.scales:
            batch = sent_to(weight, _network_input(image, rescaled_size(base[0], base[1], scale)))[None]  # (1, 3, h, w)
            if parameters.flip:
                batch = torch.cat([batch, batch.flip(3)])
            features = classifier.features(batch)
            for position, class_index in enumerate(class_indices):
                labels = torch.zeros(len(batch), len(classifier.classes))
                earlier = parameters.attend_to == "earlier_classes"
                labels[:, list(class_indices[: position + 1] if earlier else [class_index])] = 1
                labels = sent_to(weight, labels)
                views = classifier.branch_maps(features, labels, parameters.high_threshold, parameters.low_threshold)
                total[position] += _fused(views.first[:, class_index], views.second[:, class_index], (height, width))
        small = functional.interpolate(
            total[None], size=small_size(height, width), mode="bilinear", align_corners=False, antialias=True
        )[0]
    return SummedMaps(height, width, cam=small, high_res=total if parameters.high_res else 0.0)


def _network_input(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Normalise an image (H, W, 3) as (3, *size), resized like OpenCV: cubic, without antialiasing or clipping."""
    pixels = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)  # (3, H, W)
    if pixels.shape[1:] != size:
        pixels = _cubic(pixels, size)
    mean, deviation = torch.tensor((MEAN, STANDARD_DEVIATION), dtype=torch.float64)[:, :, None, None]
    return (pixels / 255 - mean) / deviation


def _cubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, h, w) by cubic interpolation (a = -0.75, as in OpenCV)."""
    return functional.interpolate(maps[None], size=size, mode="bicubic", align_corners=False)[0]


def _fused(first: Tensor, second: Tensor, size: tuple[int, int]) -> Tensor:
    """Fuse maps of the branches (1 or 2, h, w), the second view mirrored, into one map (H, W) in [0, 1]."""
    scaled = []
    for branch in (first, second):
        rectified = _cubic(branch, size).relu()
        scaled.append(rectified / (rectified.amax(dim=(1, 2), keepdim=True) + EPSILON))
    views = torch.maximum(*scaled)
    return views[0] if len(views) == 1 else torch.maximum(views[0], views[1].flip(1))
