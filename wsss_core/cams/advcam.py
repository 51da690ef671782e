"""AdvCAM: the image climbs the logit of a class, and the class maps of all steps are summed.

Lee, Kim & Yoon, "Anti-Adversarially Manipulated Attributions for Weakly and Semi-Supervised Semantic Segmentation",
CVPR 2021; computes what the authors' ``obtain_CAM_masking.py`` computes. ``climbing.py`` has the steps.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from wsss_core.cams.climbing import ClimbableClassifier, climb_on, first_step
from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method, of_one_image, side_by_side_method
from wsss_core.config.cams import AdvCams
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import ScaledImages, pixels_at_once
from wsss_core.jobs.devices import sent_to


def steps_at_scale(steps: int, scale: float, below_1: str = "fewer") -> int:
    """How many maps are summed at a scale; below scale 1, ``fewer`` (the authors' rule) or ``all``."""
    if scale >= 1 or steps < 6 or below_1 == "all":
        return steps
    return steps // 2 if steps > 10 else 5


def weight_of_sums(steps: int, scales: Sequence[float]) -> float:
    """The authors' factor for the summed maps of every scale.

    It was meant to compensate for fewer steps below scale 1, but also applies to all later scales. So it cancels out,
    except for the epsilon of the final normalisation.
    """
    return 2.0 if steps > 10 and min(scales) < 1 else 1.0


@cam_method("advcam")
def advcam_class_maps(
    classifier: ClimbableClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: AdvCams
) -> SummedMaps:
    """Sum the maps of the climbing image over steps and scales.

    Args:
        classifier: on its device, in evaluation mode, weights without gradients.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows; each has its own climb.
        parameters: scales, steps and so on.
    """
    return of_one_image(advcam_side_by_side, classifier, image, class_indices, parameters)


@side_by_side_method("advcam")
def advcam_side_by_side(
    classifier: ClimbableClassifier,
    images: ScaledImages,
    class_indices: Sequence[Sequence[int]],
    parameters: AdvCams,
) -> SummedMaps:
    """The same for N images of one size; see :class:`~wsss_core.cams.methods.SideBySideMethod`."""
    factor = weight_of_sums(parameters.steps, parameters.scales)
    summed = SummedMaps(images.height, images.width)
    for scale, clean in zip(parameters.scales, images.scaled, strict=True):
        steps = steps_at_scale(parameters.steps, scale, parameters.steps_below_scale_1)
        summed.add(factor * climb(classifier, clean, class_indices, steps, parameters), parameters.high_res)
    return summed


def climb(
    classifier: ClimbableClassifier,
    clean: Tensor,
    class_indices: Sequence[Sequence[int]],
    steps: int,
    parameters: AdvCams,
) -> Tensor:
    """The maps of images at one scale, summed over ``steps`` steps. Arguments as in :func:`climbed_maps`.

    Returns:
        (K, h', w') at the class maps' resolution, the images' classes one after another, not negative, not normalised.
    """
    first, *later = climbed_maps(classifier, clean, class_indices, steps, parameters).unbind(1)
    if not later:
        return first
    total = torch.zeros_like(first)
    for maps in later:
        total = total + maps
    return first + total


def climbed_maps(
    classifier: ClimbableClassifier,
    clean: Tensor,
    class_indices: Sequence[Sequence[int]],
    steps: int,
    parameters: AdvCams,
) -> Tensor:
    """The maps of images at one scale, at each of ``steps`` steps.

    Each class of an image climbs with its own pair. As many pairs climb together as fit into the device's memory (see
    :func:`~wsss_core.inference.pieces.in_pieces`). Nothing here waits for the device.

    Args:
        classifier: see :func:`advcam_class_maps`.
        clean: (N, 3, h, w), normalised.
        class_indices: the classes of each image.
        steps: number of maps; the first is the clean image's.
        parameters: step size, regularisation and so on.

    Returns:
        (K, steps, h', w') at the class maps' resolution, the images' classes one after another, not negative, not
        normalised.
    """
    counts = [len(own) for own in class_indices]
    by_count = sorted(range(len(counts)), key=counts.__getitem__)  # groups of equal counts start together
    classes = sent_to(clean, torch.tensor([k for n in by_count for k in class_indices[n]]))
    positive_weights = classifier.positive_weights(classes).clamp(min=1)
    pixels = 2 * clean[0, 0].numel()  # of a pair
    at_once = max(1, pixels_at_once(clean.device) // pixels)
    initial, images, done = [], [], 0
    for count, group in groupby(by_count, key=counts.__getitem__):
        some = torch.stack([clean[n] for n in group])
        own, shape = slice(done, done + count * len(some)), (len(some), count)
        done = own.stop
        start = (some, classes[own].view(shape), positive_weights[own].view(shape))

        def begin(piece: slice, start: Sequence[Tensor] = start) -> tuple[Tensor, Tensor]:
            some, classes, positive_weights = (given[piece] for given in start)
            return first_step(classifier, some, classes, positive_weights, steps > 1, parameters)

        for maps, moved in in_pieces(begin, len(some), at_once, pixels, "images that begin to climb"):
            initial.append(maps)
            images.append(moved)
    first = torch.cat(initial)  # (K, h', w')
    maps = first[:, None]  # (K, steps, h', w')
    if steps > 1:
        pairs = torch.cat(images)

        def go_on(piece: slice) -> Tensor:
            both = pairs[2 * piece.start : 2 * piece.stop]
            given = (both, classes[piece], positive_weights[piece], first[piece])
            return climb_on(classifier, *given, steps - 1, parameters)

        later = torch.cat(in_pieces(go_on, len(classes), at_once, pixels, "climbing images"))
        maps = torch.cat([maps, later], dim=1)
    of_image = dict(zip(by_count, maps.split([counts[n] for n in by_count]), strict=True))
    return torch.cat([of_image[n] for n in range(len(counts))])
