"""Recursive erasing: what a classifier still finds of a class after everything it has found is erased from the image.

This is how Kweon et al., "Unlocking the Potential of Ordinary Classifier" (ICCV 2021) examine an ordinary classifier in
their second figure: erase what the class map covers, infer again, and repeat.
"""

from pathlib import Path

import numpy as np
import torch

from wsss_core.cams.record_climb import Step, record, small_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import normalise
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.erasing import erasing_mask

ROUNDS = 4
"""How often a classifier sees an image: first unchanged, and then after each erasing."""


def record_erasing(
    index: DatasetIndex, images: int, classifier_weights: Path, erasing_h5: Path, run: Run = Run()
) -> None:
    """Record what a classifier finds in each round, for a few images at their own size, one class after the other.

    The file has the format of recorded climbs (:mod:`wsss_core.files.climb_store`), with rounds as steps and the
    class's probabilities as scores.

    Args:
        index: the training images.
        images: how many to record, at most; evenly spread over those with a label, and not chosen by the result.
        classifier_weights: file of the classifier.
        erasing_h5: the file to write.
        run: how to run it.

    Raises:
        UserError: the weights are not a classifier's, or are for other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, device_for(run), index.classes)
    record(erasing_h5, index, images, lambda image, k: erase_and_infer(classifier, image, k), run)


def erase_and_infer(
    classifier: ClassMapClassifier, image: np.ndarray, class_index: int, rounds: int = ROUNDS
) -> list[Step]:
    """Draw the map of a class, erase what it covers, and repeat.

    Args:
        classifier: on its device, in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        class_index: the class.
        rounds: how many maps to draw.

    Returns:
        For each round, the rectified map, the class's probability and the image. After each round, pixels are
        multiplied by 1 minus the map divided by its maximum, so that erased pixels get the colour of ImageNet's mean.
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
