"""The baseline: a classifier's own class maps, summed over scales and mirror images."""

from collections.abc import Sequence

import numpy as np
import torch

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method
from wsss_core.config.cams import MultiscaleCams
from wsss_core.datasets.transforms import normalise, rescale
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
        parameters: scales, flip, sizes kept, order of resizing and rectifying.
    """
    weight = next(classifier.parameters())
    summed = SummedMaps(
        image.shape[0], image.shape[1], parameters.resize_to_multiple, parameters.rectify == "after_resizing"
    )
    with torch.inference_mode():
        for scale in parameters.scales:
            batch = normalise(rescale(image, scale))[None].to(weight)  # (1, 3, h, w)
            if parameters.flip:
                batch = torch.cat([batch, batch.flip(3)])
            maps = classifier.class_maps(batch)[:, list(class_indices)]  # (1 or 2, K, h', w')
            if parameters.rectify == "before_resizing":
                maps = maps.relu()
                summed.add(maps[0] + maps[1].flip(2) if parameters.flip else maps[0], parameters.high_res)
                continue
            # A rectified map is mirrored at full size: the small one's mirror image resizes to the same.
            for view in [maps[0], *([maps[1].flip(2)] if parameters.flip else [])]:
                summed.add(view, parameters.high_res)
    return summed
