"""AdvCAM: the image climbs the logit of a class, and the class maps seen on the way are summed.

Lee, Kim & Yoon, "Anti-Adversarially Manipulated Attributions for Weakly and Semi-Supervised Semantic
Segmentation", CVPR 2021; what is computed is what the authors' ``obtain_CAM_masking.py`` computes.

The climb knows of the classifier its rectified class maps and scores (``evidence``), and so works on any.

The authors take the map by Grad-CAM (a backward pass to the features) and then the gradient of the
loss by a second backward pass through everything. For a classifier whose head is a linear 1x1
convolution Grad-CAM is known without a backward pass: the gradient of the summed positive class map at
the features is the head's weights where the map is positive, so with N_b the positions of image b of the
pair where the map is positive, and K+ the positive weights of the class,

    map_b = relu(class map_b) * N_b / ((N_0 + N_1) K+),

and the factor carries no gradient in the authors' code either. One forward and one backward pass to the
image are left per step. They are the same for every implementation of the network; ``networks/folded.py``
makes one that computes them in fewer operations.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method, of_one_image, side_by_side_method
from wsss_core.config.cams import AdvCams
from wsss_core.inference.pieces import in_pieces
from wsss_core.inference.scaled_images import ScaledImages, pixels_at_once
from wsss_core.jobs.devices import sent_to

EPSILON = 1e-12
"""Keeps an all-zero gradient from being divided by zero; the authors' value."""


class ClimbableClassifier(Protocol):
    """What AdvCAM needs of a classifier."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights, of which the place and the number format are asked."""

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of images (B, 3, h, w): rectified class maps (B, all classes, h', w') and the scores (B, all classes)
        that rise or fall, both differentiable.
        """

    def positive_weights(self, classes: Tensor) -> Tensor:
        """K+ of each class (K,); a factor common to all maps of the class, so the unit of ``regularisation``."""


def steps_at_scale(steps: int, scale: float, below_1: str = "fewer") -> int:
    """Maps summed at a scale: below 1 ``fewer``, by the authors' rule, or ``all``."""
    if scale >= 1 or steps < 6 or below_1 == "all":
        return steps
    return steps // 2 if steps > 10 else 5


def weight_of_sums(steps: int, scales: Sequence[float]) -> float:
    """What the authors multiply the summed maps of every scale by.

    Meant to make up for the fewer steps below 1, the factor stays in force for the scales after it, so
    that it cancels but for the epsilon of the final normalisation.
    """
    return 2.0 if steps > 10 and min(scales) < 1 else 1.0


@cam_method("advcam")
def advcam_class_maps(
    classifier: ClimbableClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: AdvCams
) -> SummedMaps:
    """Sum the maps that the climbing image shows, over steps and scales.

    Args:
        classifier: on its device, in evaluation mode, weights without gradients.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes the image shows; each is climbed on its own.
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
    """The same of N images of one size; see :class:`~wsss_core.cams.methods.SideBySideMethod`."""
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
    """The maps of images at one scale, summed over ``steps`` climbing images; the arguments of :func:`climbed_maps`.

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
    """The maps of images at one scale, of each of ``steps`` climbing images.

    Each class of an image climbs with a pair of its own, and all pairs side by side, as many as the device has memory
    for (see :func:`~wsss_core.inference.pieces.in_pieces`). Nothing in here waits for the device.

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
    by_count = sorted(range(len(counts)), key=counts.__getitem__)  # images with as many classes start together
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

        def first_step(piece: slice, start: Sequence[Tensor] = start) -> tuple[Tensor, Tensor]:
            some, classes, positive_weights = (given[piece] for given in start)
            return _first_step(classifier, some, classes, positive_weights, steps > 1, parameters)

        for maps, moved in in_pieces(first_step, len(some), at_once, pixels, "images that begin to climb"):
            initial.append(maps)
            images.append(moved)
    first = torch.cat(initial)  # (K, h', w')
    maps = first[:, None]  # (K, steps, h', w')
    if steps > 1:
        pairs = torch.cat(images)

        def climb_on(piece: slice) -> Tensor:
            both = pairs[2 * piece.start : 2 * piece.stop]
            given = (both, classes[piece], positive_weights[piece], first[piece])
            return _climb_on(classifier, *given, steps - 1, parameters)

        later = torch.cat(in_pieces(climb_on, len(classes), at_once, pixels, "climbing images"))
        maps = torch.cat([maps, later], dim=1)
    of_image = dict(zip(by_count, maps.split([counts[n] for n in by_count]), strict=True))
    return torch.cat([of_image[n] for n in range(len(counts))])


def _first_step(
    classifier: ClimbableClassifier,
    clean: Tensor,
    classes: Tensor,
    positive_weights: Tensor,
    climbs: bool,
    parameters: AdvCams,
) -> tuple[Tensor, Tensor]:
    """The clean images' maps, and the pairs of the next step.

    All classes of an image start from the same pair of image and mirror image, so that one forward pass shows all
    their clean maps.

    Args:
        classifier: see :func:`advcam_class_maps`.
        clean: (N, 3, h, w).
        classes: (N, K).
        positive_weights: (N, K), at least 1.
        climbs: whether there is a next step; if not, the pairs stay as they are.
        parameters: step size, regularisation and so on.

    Returns:
        (N * K, h', w') and (2 * N * K, 3, h, w), an image's classes one after another.
    """
    number, count = classes.shape
    pairs = torch.stack([clean, clean.flip(3)], dim=1).flatten(0, 1).requires_grad_(climbs)  # (2N, 3, h, w)
    with torch.set_grad_enabled(climbs):
        maps, scores = _evidence(classifier, pairs)  # (2N, all classes, h', w'), (2N, all classes)
        rows = torch.arange(number, device=classes.device)[:, None]
        own_maps = maps.unflatten(0, (-1, 2)).transpose(1, 2)[rows, classes]  # (N, K, 2, h', w')
        regions = _pair_map(own_maps.flatten(0, 1), positive_weights.flatten())  # (N * K, h', w')
        initial = regions.detach()
        images = pairs.detach().unflatten(0, (-1, 2)).repeat_interleave(count, dim=0).flatten(0, 1)
        if not climbs:
            return initial, images
        # The k-th class of all images at once: no image has a part in another one's goal.
        goals = [
            _goal(scores.unflatten(0, (-1, 2)), classes[:, k], regions[k::count], initial[k::count], parameters)
            for k in range(count)
        ]
    gradients = [torch.autograd.grad(goal, pairs, retain_graph=goal is not goals[-1])[0] for goal in goals]
    gradient = torch.stack([g.unflatten(0, (-1, 2)) for g in gradients], dim=1).flatten(0, 2)  # (2 * N * K, 3, h, w)
    return initial, _climbed(images, gradient, parameters.step_size)


def _climb_on(
    classifier: ClimbableClassifier,
    images: Tensor,
    classes: Tensor,
    positive_weights: Tensor,
    initial: Tensor,
    steps: int,
    parameters: AdvCams,
) -> Tensor:
    """The maps (K, steps, h', w') of pairs on their way; no device waits for another in here.

    Args:
        classifier: see :func:`advcam_class_maps`.
        images: (2K, 3, h, w), a pair for each class.
        classes: (K,).
        positive_weights: (K,).
        initial: maps of the clean pairs (K, h', w').
        steps: number of maps; the first is that of ``images``.
        parameters: step size, regularisation and so on.
    """
    regions = []
    for _ in range(steps - 1):
        region, images = climb_step(classifier, images, classes, positive_weights, initial, parameters)
        regions.append(region)
    with torch.no_grad():  # the last map, after which nothing climbs
        maps, _ = _evidence(classifier, images)
        regions.append(_pair_map(_own_maps(maps, classes), positive_weights))
    return torch.stack(regions, dim=1)


def climb_step(
    classifier: ClimbableClassifier,
    images: Tensor,
    classes: Tensor,
    positive_weights: Tensor,
    initial: Tensor,
    parameters: AdvCams,
) -> tuple[Tensor, Tensor]:
    """One step of pairs on their way: one forward pass and one backward pass to the images.

    Args:
        classifier: see :func:`advcam_class_maps`.
        images: (2K, 3, h, w), a pair for each class.
        classes: (K,).
        positive_weights: (K,), at least 1.
        initial: maps of the clean pairs (K, h', w').
        parameters: step size, regularisation and so on.

    Returns:
        The maps of ``images`` (K, h', w'), and the images of the next step.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        maps, scores = _evidence(classifier, images)
        region = _pair_map(_own_maps(maps, classes), positive_weights)  # (K, h', w')
        goal = _goal(scores.unflatten(0, (-1, 2)), classes, region, initial, parameters)
    (gradient,) = torch.autograd.grad(goal, images)
    return region.detach(), _climbed(images.detach(), gradient, parameters.step_size)


def _evidence(classifier: ClimbableClassifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """The classifier's evidence; of a network that computes in fewer bits, float32 from here on."""
    maps, scores = classifier.evidence(images)
    return maps.to(images.dtype), scores.to(images.dtype)


def _own_maps(maps: Tensor, classes: Tensor) -> Tensor:
    """Of each pair the map of its own class: (2K, all classes, h', w') to (K, 2, h', w')."""
    return maps.unflatten(0, (-1, 2))[torch.arange(len(classes), device=classes.device), :, classes]


def _pair_map(own_maps: Tensor, positive_weights: Tensor) -> Tensor:
    """Grad-CAM of the pair (K, 2, h', w'), the mirror image's mirrored back, summed: (K, h', w')."""
    positions = (own_maps > 0).sum(dim=(2, 3))  # (K, 2)
    largest = (positions.sum(dim=1) * positive_weights).clamp(min=1)[:, None]  # (K, 1)
    share = positions.to(own_maps) / largest  # (K, 2); of integers, torch would make it float32
    weighted = own_maps * share[:, :, None, None]
    return weighted[:, 0] + weighted[:, 1].flip(2)


def _goal(scores: Tensor, classes: Tensor, region: Tensor, initial: Tensor, parameters: AdvCams) -> Tensor:
    """What the images climb: a scalar, the sum over the classes' pairs.

    The class's score, less all others', less the change of regions that are discriminative already.

    Args:
        scores: (K, 2, all classes).
        classes: (K,).
        region: the pairs' maps (K, h', w').
        initial: the clean pairs' maps (K, h', w').
        parameters: weights and thresholds.
    """
    goal = scores[torch.arange(len(classes), device=classes.device), :, classes].sum()
    if parameters.suppress_other_classes:
        # Twice the class's own less all, its own among them, is its own less all others.
        goal = 2 * goal - scores.sum()
    discriminative = region.detach() > parameters.mask_threshold * region.detach().amax(dim=(1, 2), keepdim=True)
    return goal - parameters.regularisation * ((region - initial).abs() * discriminative).sum()


def _climbed(images: Tensor, gradient: Tensor, step_size: float) -> Tensor:
    """A step along the gradient, at most ``step_size`` in the pair's largest component.

    Values stay within those that the pair has now.
    """
    pairs = images.unflatten(0, (-1, 2))  # (K, 2, 3, h, w)
    gradient = gradient.unflatten(0, (-1, 2))
    largest = gradient.abs().amax(dim=(1, 2, 3, 4), keepdim=True)
    lowest, highest = pairs.amin(dim=(1, 2, 3, 4), keepdim=True), pairs.amax(dim=(1, 2, 3, 4), keepdim=True)
    moved = pairs + step_size * gradient / (largest + EPSILON)
    return torch.minimum(torch.maximum(moved, lowest), highest).flatten(0, 1)
