"""The baseline: a classifier's own class maps, summed over scales and mirror images."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method, of_one_image, side_by_side_method
from wsss_core.config.cams import MultiscaleCams
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import ScaledImages, pixels_at_once
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.classifier import ClassMapClassifier


@cam_method("multiscale")
def multiscale_class_maps(
    classifier: ClassMapClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: MultiscaleCams
) -> SummedMaps:
    """Sum ``relu(map) + mirrored(relu(map of the mirrored image))`` over scales.

    Source: irn ``step/make_cam.py``.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows.
        parameters: scales, flip, sizes, order of resizing and rectifying.
    """
    return of_one_image(multiscale_side_by_side, classifier, image, class_indices, parameters)


@side_by_side_method("multiscale")
def multiscale_side_by_side(
    classifier: ClassMapClassifier,
    images: ScaledImages,
    class_indices: Sequence[Sequence[int]],
    parameters: MultiscaleCams,
) -> SummedMaps:
    """The same for N images of one size; see :class:`~wsss_core.cams.methods.SideBySideMethod`."""
    like = images.scaled[0]
    owners, classes = (
        sent_to(like, torch.tensor(numbers))
        for numbers in zip(*((n, k) for n, own in enumerate(class_indices) for k in own), strict=True)
    )
    summed = SummedMaps(
        images.height, images.width, parameters.resize_to_multiple, parameters.rectify == "after_resizing"
    )
    with torch.inference_mode():
        for clean in images.scaled:
            at_once = max(1, pixels_at_once(clean.device) // clean[0, 0].numel())
            views = torch.cat([clean, clean.flip(3)]) if parameters.flip else clean  # (N or 2N, 3, h, w)
            seen = partial(_maps_of, classifier, views)
            all_maps = torch.cat(in_pieces(seen, len(views), at_once, clean[0, 0].numel(), "views of images"))
            maps = all_maps.unflatten(0, (-1, len(clean)))[:, owners, classes]  # (1 or 2, K of all images, h', w')
            if parameters.rectify == "before_resizing":
                maps = maps.relu()
                summed.add(maps[0] + maps[1].flip(2) if parameters.flip else maps[0], parameters.high_res)
                continue
            # The authors mirror the rectified map at full size; mirroring the small map first gives the same.
            for view in [maps[0], *([maps[1].flip(2)] if parameters.flip else [])]:
                summed.add(view, parameters.high_res)
    return summed


def _maps_of(classifier: ClassMapClassifier, views: Tensor, piece: slice) -> Tensor:
    """Class maps of some of the views (N, 3, h, w)."""
    return classifier.class_maps(views[piece])
