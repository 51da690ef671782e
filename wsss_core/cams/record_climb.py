"""AdvCAM's climb of a few images, step by step: what ``cams/advcam.py`` sums, kept for people to look at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wsss_core.cams.advcam import ClimbableClassifier, advcam_class_maps
from wsss_core.cams.generate_cams import prepared_for_drawing
from wsss_core.config.cams import AdvCams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.files.climb_store import ImageClimb, write_climbs
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.run import Run
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
    run: Run = Run(),
) -> None:
    """Record how images climb at their own size (scale 1), one class after the other.

    Args:
        parameters: the settings that the maps are drawn with.
        index: the training images.
        images: of how many, at most; evenly spread over those with a label, without a look at what comes out.
        classifier_weights: file of the classifier.
        climb_h5: the file to make.
        run: how it is run.

    Raises:
        UserError: the weights are not a classifier's, or of other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, device_for(run, parameters.arithmetic), index.classes)
    network = prepared_for_drawing(classifier, parameters)
    climbs = (_image_climb(network, index, position, parameters) for position in evenly_labelled(index, images))
    write_climbs(climb_h5, index.classes, run.provenance, climbs)


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
    steps = [climb_steps(classifier, image, int(class_index), parameters) for class_index in classes]
    return ImageClimb(
        index.image_ids[position],
        classes.astype(np.int16),
        np.array([[step.map for step in one] for one in steps]),
        np.array([[step.score for step in one] for one in steps], np.float32),
        np.array([[step.image for step in one] for one in steps]),
        *image.shape[:2],
    )


@dataclass(frozen=True)
class Step:
    """What a climbing image shows at one step."""

    map: np.ndarray
    """(h, w) float32: the class map, but for a factor that is the same at every step."""
    score: float
    """The class's score, the mean of the image's and its mirror image's."""
    image: np.ndarray
    """(h'', w'', 3) uint8: the image, made small."""


def climb_steps(
    classifier: ClimbableClassifier, image: np.ndarray, class_index: int, parameters: AdvCams
) -> list[Step]:
    """Draw a class map by AdvCAM itself, at the image's own size, and keep what its classifier was asked on the way.

    Args:
        classifier: see :func:`wsss_core.cams.advcam.advcam_class_maps`.
        image: (H, W, 3) uint8 RGB.
        class_index: the class that it climbs for.
        parameters: steps, step size, regularisation and so on.
    """
    listening = _Listening(classifier, class_index)
    advcam_class_maps(listening, image, [class_index], parameters.model_copy(update={"scales": (1.0,)}))
    return listening.steps


class _Listening:
    """A classifier that keeps what it was asked, and what it answered."""

    def __init__(self, classifier: ClimbableClassifier, class_index: int) -> None:
        self.classifier, self.class_index = classifier, class_index
        self.steps: list[Step] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.classifier, name)

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps, scores = self.classifier.evidence(images)  # of an image and its mirror image
        shown = _pair_map(maps[:, self.class_index].detach().float())
        score = float(scores[:, self.class_index].detach().float().mean())
        self.steps.append(Step(shown.cpu().numpy(), score, small_image(images[0])))
        return maps, scores


def _pair_map(maps: Tensor) -> Tensor:
    """The rectified maps (2, h, w) of an image and its mirror image as AdvCAM adds them, but for a factor: (h, w)."""
    positions = (maps > 0).sum(dim=(1, 2))  # (2,)
    shares = positions / positions.sum().clamp(min=1)
    return shares[0] * maps[0] + shares[1] * maps[1].flip(1)


def small_image(image: Tensor) -> np.ndarray:
    """A normalised image (3, H, W) as people see it, at most ``SIDE`` pixels long: (h'', w'', 3) uint8."""
    scale = torch.tensor(STANDARD_DEVIATION).view(3, 1, 1)
    pixels = image.detach().float().cpu() * scale + torch.tensor(MEAN).view(3, 1, 1)
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    seen = Image.fromarray(array)
    seen.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(seen)
