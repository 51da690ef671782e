"""Recursive erasing: what a classifier finds of a class once all that it has found before is erased from the image.

As Kweon et al., "Unlocking the Potential of Ordinary Classifier" (ICCV 2021) look at an ordinary classifier in their
second figure: erase what the class map covers, infer again, and again.
"""

from pathlib import Path

import numpy as np
import torch

from wsss_core.cams.record_climb import MOST_CLASSES, Step, evenly_labelled, small_image
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import normalise
from wsss_core.files.climb_store import ImageClimb, write_climbs
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.erasing import erasing_mask

ROUNDS = 4
"""Times that a classifier looks at an image: as it is, and after each of the erasings."""


def record_erasing(
    index: DatasetIndex, images: int, classifier_weights: Path, erasing_h5: Path, run: Run = Run()
) -> None:
    """Record what a classifier finds in each round, for a few images at their own size, one class after the other.

    The file has the format of recorded climbs (:mod:`wsss_core.files.climb_store`), a round for a step; its scores are
    the class's probabilities.

    Args:
        index: the training images.
        images: of how many, at most; evenly spread over those with a label, without a look at what comes out.
        classifier_weights: file of the classifier.
        erasing_h5: the file to make.
        run: how it is run.

    Raises:
        UserError: the weights are not a classifier's, or of other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, device_for(run), index.classes)
    erasings = (_image_erasing(classifier, index, position) for position in evenly_labelled(index, images))
    write_climbs(erasing_h5, index.classes, run.provenance, erasings)


def _image_erasing(classifier: ClassMapClassifier, index: DatasetIndex, position: int) -> ImageClimb:
    image = read_image(index.image_paths[position])
    classes = np.flatnonzero(index.label_matrix[position])[:MOST_CLASSES]
    rounds = [erase_and_infer(classifier, image, int(class_index)) for class_index in classes]
    return ImageClimb(
        index.image_ids[position],
        classes.astype(np.int16),
        np.array([[seen.map for seen in one] for one in rounds]),
        np.array([[seen.score for seen in one] for one in rounds], np.float32),
        np.array([[seen.image for seen in one] for one in rounds]),
        *image.shape[:2],
    )


def erase_and_infer(
    classifier: ClassMapClassifier, image: np.ndarray, class_index: int, rounds: int = ROUNDS
) -> list[Step]:
    """Look for a class, erase what its map covers, and look again.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_index: the class.
        rounds: how often it looks.

    Returns:
        Of each round the rectified map, the class's probability and the image: its pixels times 1 less the map divided
        by its maximum, round after round, so that what is erased has the colour of ImageNet's mean.
    """
    seen = normalise(image)[None].to(next(classifier.parameters()))
    steps = []
    with torch.inference_mode():
        for _ in range(rounds):
            class_map = classifier.class_maps(seen)[:, class_index : class_index + 1].to(seen.dtype)  # (1, 1, h, w)
            probability = float(classifier(seen)[0, class_index].sigmoid())
            steps.append(Step(class_map[0, 0].relu().float().cpu().numpy(), probability, small_image(seen[0])))
            seen = seen * (1 - erasing_mask(class_map, image.shape[:2], "image"))
    return steps
