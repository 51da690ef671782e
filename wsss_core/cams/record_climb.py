"""Records AdvCAM's climb of a few images step by step, which ``cams/advcam.py`` only sums, for users to look at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wsss_core.cams.advcam import advcam_class_maps
from wsss_core.cams.climbing import ClimbableClassifier
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
"""At most this many classes of an image climb, the first ones."""
SIDE = 160
"""Longest side of the recorded images, pixels."""


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
        parameters: the settings for drawing the maps.
        index: the training images.
        images: how many to record, at most; evenly spread over those with a label, and not chosen by the result.
        classifier_weights: file of the classifier.
        climb_h5: the file to write.
        run: how to run it.

    Raises:
        UserError: the weights are not a classifier's, or are for other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, device_for(run, parameters.arithmetic), index.classes)
    network = prepared_for_drawing(classifier, parameters)
    record(climb_h5, index, images, lambda image, k: climb_steps(network, image, k, parameters), run)


@dataclass(frozen=True)
class Step:
    """One step of a recorded image."""

    map: np.ndarray
    """(h, w) float32: the class map, up to a factor that is the same at every step."""
    score: float
    """The class's score; of a climb, the mean over the image and its mirror image."""
    image: np.ndarray
    """(h'', w'', 3) uint8: the image, made small."""


def record(
    climb_h5: Path, index: DatasetIndex, images: int, steps_of: Callable[[np.ndarray, int], list[Step]], run: Run
) -> None:
    """Write the steps of a few images, one class after the other.

    Args:
        climb_h5: the file to write.
        index: the training images.
        images: how many to record, at most.
        steps_of: the steps of an image (H, W, 3) uint8 and one of its classes.
        run: has the provenance.
    """
    climbs = (_image_climb(index, position, steps_of) for position in evenly_labelled(index, images))
    write_climbs(climb_h5, index.classes, run.provenance, climbs)


def evenly_labelled(index: DatasetIndex, images: int) -> list[int]:
    """Positions of at most ``images`` images with a label, spread as evenly as possible."""
    labelled = np.flatnonzero(index.label_matrix.any(axis=1))
    number = min(len(labelled), images)
    return [int(labelled[k * len(labelled) // number]) for k in range(number)]


def _image_climb(index: DatasetIndex, position: int, steps_of: Callable[[np.ndarray, int], list[Step]]) -> ImageClimb:
    image = read_image(index.image_paths[position])
    classes = np.flatnonzero(index.label_matrix[position])[:MOST_CLASSES]
    steps = [steps_of(image, int(class_index)) for class_index in classes]
    return ImageClimb(
        index.image_ids[position],
        classes.astype(np.int16),
        np.array([[step.map for step in one] for one in steps]),
        np.array([[step.score for step in one] for one in steps], np.float32),
        np.array([[step.image for step in one] for one in steps]),
        *image.shape[:2],
    )


def climb_steps(
    classifier: ClimbableClassifier, image: np.ndarray, class_index: int, parameters: AdvCams
) -> list[Step]:
    """Draw a class map with AdvCAM at the image's own size, and record what its classifier is asked.

    Args:
        classifier: see :func:`wsss_core.cams.advcam.advcam_class_maps`.
        image: (H, W, 3) uint8 RGB.
        class_index: the class to climb for.
        parameters: steps, step size, regularisation and so on.
    """
    listening = _Listening(classifier, class_index)
    advcam_class_maps(listening, image, [class_index], parameters.model_copy(update={"scales": (1.0,)}))
    return listening.steps


class _Listening:
    """A classifier that records the images that it is given and its answers."""

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
    """AdvCAM's sum of the rectified maps (2, h, w) of an image and its mirror image, up to a factor: (h, w)."""
    positions = (maps > 0).sum(dim=(1, 2))  # (2,)
    shares = positions / positions.sum().clamp(min=1)
    return shares[0] * maps[0] + shares[1] * maps[1].flip(1)


def small_image(image: Tensor) -> np.ndarray:
    """A normalised image (3, H, W) converted back, with at most ``SIDE`` pixels a side: (h'', w'', 3) uint8."""
    scale = torch.tensor(STANDARD_DEVIATION).view(3, 1, 1)
    pixels = image.detach().float().cpu() * scale + torch.tensor(MEAN).view(3, 1, 1)
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    seen = Image.fromarray(array)
    seen.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(seen)
