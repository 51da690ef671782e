"""The climb of AdvCAM: pairs of an image and its mirror image, changed step by step to raise the score of a class.

The climb uses only the classifier's rectified class maps and scores (``evidence``), and so works with any classifier.

The authors compute the map by Grad-CAM (a backward pass to the features), and then the gradient of the loss by a second
backward pass through everything. For a classifier with a linear 1x1 convolution as head, Grad-CAM needs no backward
pass: at the features, the gradient of the summed positive class map is the head's weights where the map is positive. So
with N_b the number of positive positions in the map of image b of the pair, and K+ the positive weights of the class,

    map_b = relu(class map_b) * N_b / ((N_0 + N_1) K+),

and the factor has no gradient in the authors' code either. This leaves one forward pass and one backward pass to the
image for each step. ``networks/folded.py`` makes a network that computes the same in fewer operations.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from wsss_core.config.cams import AdvCams

EPSILON = 1e-12
"""Prevents division by zero for an all-zero gradient; the authors' value."""


class ClimbableClassifier(Protocol):
    """The interface of a classifier for AdvCAM."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights, for their device and dtype."""

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Rectified class maps (B, all classes, h', w') and scores (B, all classes) of images (B, 3, h, w).

        Both are differentiable; the climb raises or lowers the scores.
        """

    def positive_weights(self, classes: Tensor) -> Tensor:
        """K+ of each class (K,): a common factor of the class's maps, and so the unit of ``regularisation``."""


def first_step(
    classifier: ClimbableClassifier,
    clean: Tensor,
    classes: Tensor,
    positive_weights: Tensor,
    climbs: bool,
    parameters: AdvCams,
) -> tuple[Tensor, Tensor]:
    """The clean images' maps, and the pairs of the next step.

    All classes of an image start from the same pair of image and mirror image, so that one forward pass gives all
    their clean maps.

    Args:
        classifier: on its device, in evaluation mode, weights without gradients.
        clean: (N, 3, h, w).
        classes: (N, K).
        positive_weights: (N, K), at least 1.
        climbs: whether there is a next step; if not, the pairs are not changed.
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
        # The k-th class of all images at once: images do not affect each other's goals.
        goals = [
            _goal(scores.unflatten(0, (-1, 2)), classes[:, k], regions[k::count], initial[k::count], parameters)
            for k in range(count)
        ]
    gradients = [torch.autograd.grad(goal, pairs, retain_graph=goal is not goals[-1])[0] for goal in goals]
    gradient = torch.stack([g.unflatten(0, (-1, 2)) for g in gradients], dim=1).flatten(0, 2)  # (2 * N * K, 3, h, w)
    return initial, _climbed(images, gradient, parameters.step_size)


def climb_on(
    classifier: ClimbableClassifier,
    images: Tensor,
    classes: Tensor,
    positive_weights: Tensor,
    initial: Tensor,
    steps: int,
    parameters: AdvCams,
) -> Tensor:
    """The maps (K, steps, h', w') of climbing pairs, without waiting for the device.

    Args:
        classifier: on its device, in evaluation mode, weights without gradients.
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
    """One step of climbing pairs: one forward pass and one backward pass to the images.

    Args:
        classifier: on its device, in evaluation mode, weights without gradients.
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
    """The classifier's evidence in the images' dtype, even if the network computes in fewer bits."""
    maps, scores = classifier.evidence(images)
    return maps.to(images.dtype), scores.to(images.dtype)


def _own_maps(maps: Tensor, classes: Tensor) -> Tensor:
    """The maps of each pair's own class: from (2K, all classes, h', w') to (K, 2, h', w')."""
    return maps.unflatten(0, (-1, 2))[torch.arange(len(classes), device=classes.device), :, classes]


def _pair_map(own_maps: Tensor, positive_weights: Tensor) -> Tensor:
    """Grad-CAM of a pair (K, 2, h', w'), summed after mirroring the mirror image's map back: (K, h', w')."""
    positions = (own_maps > 0).sum(dim=(2, 3))  # (K, 2)
    largest = (positions.sum(dim=1) * positive_weights).clamp(min=1)[:, None]  # (K, 1)
    share = positions.to(own_maps) / largest  # (K, 2); torch would convert integers to float32
    weighted = own_maps * share[:, :, None, None]
    return weighted[:, 0] + weighted[:, 1].flip(2)


def _goal(scores: Tensor, classes: Tensor, region: Tensor, initial: Tensor, parameters: AdvCams) -> Tensor:
    """The quantity that the images climb: a scalar, summed over the classes' pairs.

    It is the class's score, minus all others', minus the change of regions that are already discriminative.

    Args:
        scores: (K, 2, all classes).
        classes: (K,).
        region: the pairs' maps (K, h', w').
        initial: the clean pairs' maps (K, h', w').
        parameters: weights and thresholds.
    """
    goal = scores[torch.arange(len(classes), device=classes.device), :, classes].sum()
    if parameters.suppress_other_classes:
        # Twice the class's own minus all (including its own) is its own minus all others.
        goal = 2 * goal - scores.sum()
    discriminative = region.detach() > parameters.mask_threshold * region.detach().amax(dim=(1, 2), keepdim=True)
    return goal - parameters.regularisation * ((region - initial).abs() * discriminative).sum()


def _climbed(images: Tensor, gradient: Tensor, step_size: float) -> Tensor:
    """A step along the gradient, with ``step_size`` as the pair's largest change.

    Values stay within the pair's present range.
    """
    pairs = images.unflatten(0, (-1, 2))  # (K, 2, 3, h, w)
    gradient = gradient.unflatten(0, (-1, 2))
    largest = gradient.abs().amax(dim=(1, 2, 3, 4), keepdim=True)
    lowest, highest = pairs.amin(dim=(1, 2, 3, 4), keepdim=True), pairs.amax(dim=(1, 2, 3, 4), keepdim=True)
    moved = pairs + step_size * gradient / (largest + EPSILON)
    return torch.minimum(torch.maximum(moved, lowest), highest).flatten(0, 1)
