"""Which images a gallery shows: the worst, the best, those that methods disagree about, and a sample of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

import numpy as np

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.evaluation.confusion import confusion_matrix, scores_of
from wsss_core.report.pictured import OpenPictures

LOOKED_AT = 500
"""At least this many images of a split, evenly spread, are scored to choose from; all if there are fewer."""
EXTREMES = 5
"""A fifth of the shown images are the worst, a fifth the best, and a fifth those that methods disagree about."""


@dataclass(frozen=True)
class ImageScore:
    """How good the methods are on one image."""

    position: int
    """The image's position in its split."""
    iou: Mapping[str, float]
    """By experiment with a label map or a seed, the mean IoU of the classes in the mask; empty without a mask."""
    disagreement: float | None
    """Mean share, over pairs of label maps, of pixels with different classes; None with fewer than two maps."""
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By experiment as in ``iou``, (3, C + 1) int64: the pixels of each class that are right, that the mask has and
    that the label map has."""

    @property
    def mean_iou(self) -> float | None:
        """Mean over the experiments."""
        return fmean(self.iou.values()) if self.iou else None


def image_scores(pictures: OpenPictures, split: DatasetIndex, shown: int) -> list[ImageScore]:
    """Score every experiment's last label map, or its seed, on evenly spread images of a split.

    Args:
        pictures: the images, and what was made of them.
        split: the images to choose from.
        shown: number of images that will be shown; 0 for none.
    """
    ids = split.image_ids
    looked_at = max(LOOKED_AT, shown) if shown else 0
    return [_score(pictures, position, ids[position]) for position in evenly(len(ids), looked_at)]


def evenly(length: int, most: int) -> list[int]:
    """At most ``most`` positions in a list, spread as evenly as possible."""
    number = min(length, most)
    return [k * length // number for k in range(number)]


def choose_images(scores: Sequence[ImageScore], most: int) -> list[ImageScore]:
    """The images to show, in the order of the split.

    Args:
        scores: of the images to choose from.
        most: number of images to show, at most.
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
    """Mean share, over pairs of label maps (H, W), of pixels that differ; None with fewer than two maps."""
    if len(labels) < 2:
        return None
    return fmean(float((one != other).mean()) for one, other in combinations(labels, 2))


def _score(pictures: OpenPictures, position: int, image_id: str) -> ImageScore:
    files = {name: pictures.last_labels(name, image_id) for name in pictures.experiments}
    labels = {file: pictures.read_labels(file) for file in dict.fromkeys(files.values()) if file is not None}
    mask_file = pictures.masks.get(image_id)
    iou: dict[str, float] = {}
    counts: dict[str, np.ndarray] = {}
    if mask_file is not None and labels:
        mask, classes = read_mask(mask_file), len(pictures.index.classes)
        matrices = {file: confusion_matrix(found, mask, classes) for file, found in labels.items()}
        by_file = {file: scores_of(matrix).miou for file, matrix in matrices.items()}
        iou = {name: by_file[file] for name, file in files.items() if file is not None and by_file[file] >= 0}
        counted = {file: _pixel_counts(matrix) for file, matrix in matrices.items()}
        counts = {name: counted[file] for name, file in files.items() if name in iou and file is not None}
    return ImageScore(position, iou, disagreement_of(list(labels.values())), counts)


def _pixel_counts(matrix: np.ndarray) -> np.ndarray:
    """What the IoU of each class is computed from; see ``ImageScore.counts``."""
    return np.stack([matrix.diagonal(), matrix.sum(axis=1), matrix[:, : len(matrix)].sum(axis=0)])
