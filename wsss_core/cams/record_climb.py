"""AdvCAM's climb of a few images, step by step: what ``cams/advcam.py`` sums, kept for people to look at."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wsss_core.cams.advcam import ClimbableClassifier, climb, climb_step
from wsss_core.cams.generate_cams import prepared_for_drawing
from wsss_core.climb_store import ImageClimb, write_climbs
from wsss_core.config.cams import AdvCams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION, normalise
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.classifier_files import load_classifier

MOST_CLASSES = 3
"""Of an image with more classes, these first ones climb."""
SIDE = 160
"""Longest side that the climbing image is kept at, pixels."""


def record_climb(
    parameters: AdvCams,
    index: DatasetIndex,
    images: int,
    classifier_weights: Path,
    climb_h5: Path,
    provenance: Mapping[str, Any],
    device: str = "auto",
) -> None:
    """Record how images climb at their own size (scale 1), one class after the other.

    Args:
        parameters: the settings that the maps are drawn with.
        index: the training images.
        images: of how many, at most; evenly spread over those with a label, without a look at what comes out.
        classifier_weights: file of the classifier.
        climb_h5: the file to make.
        provenance: recorded in it.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: the weights are not a classifier's, or of other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, choose_device(device))
    if classifier.classes != index.classes:
        raise UserError(
            f"{classifier_weights}: the classifier knows the classes {', '.join(classifier.classes)}; "
            f"the data set has {', '.join(index.classes)}"
        )
    network = prepared_for_drawing(classifier, parameters)
    climbs = (_image_climb(network, index, position, parameters) for position in evenly_labelled(index, images))
    write_climbs(climb_h5, index.classes, provenance, climbs)


def evenly_labelled(index: DatasetIndex, images: int) -> list[int]:
    """Positions of at most so many images that have a label, as evenly spread as can be."""
    labelled = np.flatnonzero(index.label_matrix.any(axis=1))
    number = min(len(labelled), images)
    return [int(labelled[k * len(labelled) // number]) for k in range(number)]


def _image_climb(
    classifier: ClimbableClassifier, index: DatasetIndex, position: int, parameters: AdvCams
) -> ImageClimb:
    image = read_image(index.image_paths[position])
    classes = np.flatnonzero(index.label_matrix[position])[:MOST_CLASSES]
    steps = [list(climb_steps(classifier, image, int(class_index), parameters)) for class_index in classes]
    return ImageClimb(
        index.image_ids[position],
        classes.astype(np.int16),
        np.stack([np.stack([maps for maps, _, _ in one]) for one in steps]),
        np.array([[score for _, score, _ in one] for one in steps], np.float32),
        np.stack([np.stack([seen for _, _, seen in one]) for one in steps]),
        *image.shape[:2],
    )


def climb_steps(
    classifier: ClimbableClassifier, image: np.ndarray, class_index: int, parameters: AdvCams
) -> Iterator[tuple[np.ndarray, float, np.ndarray]]:
    """Let an image climb at its own size; its maps are those whose sum :func:`wsss_core.cams.advcam.climb` returns.

    Args:
        classifier: see :func:`wsss_core.cams.advcam.advcam_class_maps`.
        image: (H, W, 3) uint8 RGB.
        class_index: the class that it climbs for.
        parameters: steps, step size, regularisation and so on.

    Yields:
        For each step the map (h, w) float32, the class's score and the image, (h'', w'', 3) uint8.
    """
    weight = next(iter(classifier.parameters()))
    clean = normalise(image).to(weight)  # (3, H, W)
    initial = climb(classifier, clean[None], [[class_index]], 1, parameters)  # (1, h, w)
    classes = torch.tensor([class_index], device=clean.device)
    positive_weights = classifier.positive_weights(classes).clamp(min=1)
    listening = _Listening(classifier)
    images = torch.stack([clean, clean.flip(2)])  # (2, 3, H, W)
    for _ in range(parameters.steps):
        seen = images
        region, images = climb_step(listening, images, classes, positive_weights, initial, parameters)
        yield region[0].float().cpu().numpy(), float(listening.scores[:, class_index].mean()), _small(seen[0])


class _Listening:
    """A classifier that keeps the scores it gave last."""

    def __init__(self, classifier: ClimbableClassifier) -> None:
        self.classifier = classifier
        self.scores = torch.empty(0)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return iter(self.classifier.parameters())

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps, scores = self.classifier.evidence(images)
        self.scores = scores.detach()
        return maps, scores

    def positive_weights(self, classes: Tensor) -> Tensor:
        return self.classifier.positive_weights(classes)


def _small(image: Tensor) -> np.ndarray:
    """A normalised image (3, H, W) as people see it, at most ``SIDE`` pixels long: (h'', w'', 3) uint8."""
    scale = torch.tensor(STANDARD_DEVIATION).view(3, 1, 1)
    pixels = image.detach().float().cpu() * scale + torch.tensor(MEAN).view(3, 1, 1)
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    seen = Image.fromarray(array)
    seen.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(seen)
