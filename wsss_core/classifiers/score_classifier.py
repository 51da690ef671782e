"""Scores how well a classifier predicts the classes of validation images, and judges it before maps are drawn."""

import csv
import logging
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_core.datasets.images import read_indexed_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import normalised
from wsss_core.errors import images_named
from wsss_core.evaluation.classification import ClassFigures, Classification, classify_figures
from wsss_core.evaluation.classifier_verdict import Verdict, judge, verdict_in_text, write_verdict
from wsss_core.files.atomic import atomic_path
from wsss_core.jobs.devices import moved
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.progress import Progress
from wsss_core.jobs.read_ahead import ReadAhead
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier

IMAGES_AT_ONCE = 16
"""At most this many images of one size go through the network at once."""
PIXELS_AT_ONCE = 2**21
"""At most this many pixels go through it at once: eight images of VOC's size."""
COLUMNS = ("class", "average_precision", "chance", "f1", "precision", "recall", "positive_images")
"""Columns of the table of scores; shares go from 0 to 1."""
log = logging.getLogger(__name__)


def score_classifier(
    index: DatasetIndex,
    classifier_weights: Path,
    scores_csv: Path,
    verdict_json: Path,
    classifier: str,
    what_to_do: Sequence[str] = (),
    run: Run = Run(),
) -> Verdict:
    """Score a classifier on validation images, using only image-level labels, and judge whether it has learned.

    The classifier sees whole images at their own size. A class counts as found if its logit is 0 or more.

    Args:
        index: the validation images. An image without any label counts as showing no class.
        classifier_weights: file of the classifier.
        scores_csv: the table to write, with the columns of ``COLUMNS``: first a row with the means and an empty
            ``class``, then a row for each class. A cell is empty if the images do not determine it.
        verdict_json: the verdict to write; see :mod:`wsss_core.evaluation.classifier_verdict`.
        classifier: the classifier's variant.
        what_to_do: advice for a classifier near chance, see :func:`wsss_core.evaluation.classifier_verdict.judge`.
        run: how to run it.

    Returns:
        The verdict, which is also logged, as a warning if the classifier or a class is near chance.

    Raises:
        UserError: the weights are not a classifier's, or are for other classes than the data set's; an image cannot be
            read, or its size has changed.
    """
    network = load_classifier(classifier_weights, device_for(run), index.classes)
    figures = classify_figures(logits_of(network, index, run.threads), index.label_matrix)
    verdict = judge(classifier, figures, index.classes, what_to_do)
    _write_scores(figures, index.classes, scores_csv)
    _log_figures(figures, index.classes)
    log.log(logging.WARNING if verdict.is_warning else logging.INFO, "%s", verdict_in_text(verdict))
    write_verdict(verdict, verdict_json)
    return verdict


def logits_of(network: ClassMapClassifier, index: DatasetIndex, threads: int = 1) -> np.ndarray:
    """The logits of whole images (N, K), in the order of the index; ``threads`` threads read images."""
    logits = np.zeros((len(index), len(index.classes)))
    weight = next(network.parameters())
    paths, sizes, ids = index.image_paths, index.sizes, index.image_ids
    batches = list(_batches(sizes))

    def read(batch: Sequence[int]) -> Tensor:
        images = np.stack([read_indexed_image(paths[n], sizes[n]) for n in batch])
        return torch.from_numpy(images)  # (B, H, W, 3) uint8

    counter = Progress("scoring the classifier", len(index))
    try:
        with ReadAhead(read, batches, threads=threads, ahead=max(4, threads)) as images, torch.inference_mode():
            for batch, pixels in zip(batches, images, strict=True):
                with images_named([ids[n] for n in batch]):
                    views = normalised(moved(pixels, weight.device)).to(weight.dtype)
                    logits[batch] = network(views).double().cpu().numpy()
                counter.advance(len(batch))
    finally:
        counter.close()
    return logits


def _batches(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Groups of positions of images of one size."""
    of_size: dict[tuple[int, int], list[int]] = {}
    for position, size in enumerate(sizes):
        of_size.setdefault(size, []).append(position)
    for (height, width), positions in of_size.items():
        at_once = min(IMAGES_AT_ONCE, max(1, PIXELS_AT_ONCE // (height * width)))
        for first in range(0, len(positions), at_once):
            yield positions[first : first + at_once]


def _write_scores(figures: Classification, classes: Sequence[str], scores_csv: Path) -> None:
    with atomic_path(scores_csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, row in (("", figures.mean), *zip(classes, figures.classes, strict=True)):
            shares = (getattr(row, column) for column in COLUMNS[1:-1])
            writer.writerow([name, *("" if isnan(share) else f"{share:.4f}" for share in shares), row.positive_images])


def _log_figures(figures: Classification, classes: Sequence[str]) -> None:
    def line(name: str, row: ClassFigures) -> None:
        shares = (row.average_precision, row.chance, row.f1)
        texts = ("–" if isnan(share) else f"{100 * share:.1f} %" for share in shares)
        log.info("%s: average precision %s (chance %s), F1 %s, shown by %d images", name, *texts, row.positive_images)

    for name, row in zip(classes, figures.classes, strict=True):
        line(name, row)
    line("mean of the classes", figures.mean)
