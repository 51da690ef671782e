"""Which images a gallery shows: the worst, the best, those that methods disagree about, and some of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.evaluation.confusion import confusion_matrix, scores_of
from wsss_core.report.pictured import OpenPictures

LOOKED_AT = 500
"""Images of a split, evenly spread, that are scored to choose from, at least; if there are as many."""
EXTREMES = 5
"""One of so many that are shown is one of the worst, one of the best, and one that methods disagree about."""


@dataclass(frozen=True)
class ImageScore:
    """How good the methods are on one image."""

    position: int
    """The image's position in its split."""
    iou: Mapping[str, float]
    """By experiment with a label map or a seed, the mean IoU of the classes in the mask; empty without a mask."""
    disagreement: float | None
    """Mean share, over pairs of label maps, of pixels that have not the same class; None of fewer than two."""

    @property
    def mean_iou(self) -> float | None:
        """Mean over the experiments."""
        return fmean(self.iou.values()) if self.iou else None


def image_scores(pictures: OpenPictures, split: DatasetIndex, shown: int) -> list[ImageScore]:
    """Score the last label map of every experiment, or its seed, on evenly spread images of a split.

    Args:
        pictures: the images, and what was made of them.
        split: the images to choose from.
        shown: how many of them will be shown; 0 asks for none.
    """
    ids = split.image_ids
    looked_at = max(LOOKED_AT, shown) if shown else 0
    return [_score(pictures, position, ids[position]) for position in evenly(len(ids), looked_at)]


def evenly(length: int, most: int) -> list[int]:
    """At most so many positions of a list, as evenly spread as can be."""
    number = min(length, most)
    return [k * length // number for k in range(number)]


def choose_images(scores: Sequence[ImageScore], most: int) -> list[ImageScore]:
    """Those to show, in the order of the split.

    Args:
        scores: of the images to choose from.
        most: how many are shown.
    """
    extremes = -(-most // EXTREMES)
    chosen: dict[int, ImageScore] = {}

    def add(key: Callable[[ImageScore], float | None], sign: int) -> None:
        measured = [(sign * value, score.position, score) for score in scores if (value := key(score)) is not None]
        for _, position, score in sorted(measured, key=lambda item: item[:2])[:extremes]:
            if len(chosen) < most:
                chosen.setdefault(position, score)

    add(lambda score: score.mean_iou, 1)
    add(lambda score: score.mean_iou, -1)
    add(lambda score: score.disagreement, -1)
    others = [score for score in scores if score.position not in chosen]
    chosen |= {others[k].position: others[k] for k in evenly(len(others), most - len(chosen))} if others else {}
    return [chosen[position] for position in sorted(chosen)]


def disagreement_of(labels: Sequence[np.ndarray]) -> float | None:
    """Mean share, over pairs of label maps (H, W), of pixels that differ; None of fewer than two maps."""
    if len(labels) < 2:
        return None
    return fmean(float((one != other).mean()) for one, other in combinations(labels, 2))


def _score(pictures: OpenPictures, position: int, image_id: str) -> ImageScore:
    files = {name: pictures.last_labels(name, image_id) for name in pictures.experiments}
    labels = {file: pictures.read_labels(file) for file in dict.fromkeys(files.values()) if file is not None}
    mask_file = pictures.masks.get(image_id)
    iou: dict[str, float] = {}
    if mask_file is not None and labels:
        mask, classes = read_mask(mask_file), len(pictures.index.classes)
        by_file = {file: scores_of(confusion_matrix(found, mask, classes)).miou for file, found in labels.items()}
        iou = {name: by_file[file] for name, file in files.items() if file is not None and by_file[file] >= 0}
    return ImageScore(position, iou, disagreement_of(list(labels.values())))
