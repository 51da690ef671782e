"""Scores of class maps and of label maps against masks, as CSV files.

All scores are shares in [0, 1] of all images' pixels together, except ``boundary_f``, a mean over images (see
``evaluation.boundary``). An empty cell means that the masks do not show the class. Columns: ``threshold`` (class maps),
the conditions under which the maps were made (see ``score_conditions``), ``miou``, ``precision``, ``recall``,
``pixel_accuracy``, ``boundary_f`` (label maps), ``images_scored``, ``images_without_mask``, ``iou_background`` and
``iou_<class>``.
"""

import csv
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_values import of_classes
from wsss_core.errors import UserError
from wsss_core.evaluation.boundary import boundary_f_score
from wsss_core.evaluation.confusion import Scores, confusion_matrix, scores_of
from wsss_core.evaluation.image_scores import image_measures, write_image_scores
from wsss_core.evaluation.thresholds import THRESHOLDS, ThresholdCounts
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.progress import progress
from wsss_core.refinement.confident_labels import label_values
from wsss_core.refinement.pseudo_label_map import divided_by_largest, pseudo_label_scores

log = logging.getLogger(__name__)


def score_cams(
    cams: CamStoreReader,
    masks: Mapping[str, Path],
    scores_csv: Path,
    walked: bool = False,
    image_ids: Sequence[str] | None = None,
    conditions: Mapping[str, str] | None = None,
    images_csv: Path | None = None,
) -> None:
    """Score seeds at the thresholds 0, 0.01, ..., 0.99, with a row for each.

    Args:
        cams: class maps; those at the image's size are scored, or else the small ones, upsampled.
        masks: mask files by image id; pixels are 0 background, 1..C (the class's index plus 1), 255.
        scores_csv: the table to write.
        walked: the maps are the result of a random walk: each image's maps are first divided by their largest value.
            If a background walked with them, it replaces the thresholds: there is one row, with an empty threshold.
        image_ids: the images to score; all by default.
        conditions: the conditions under which the maps were made, as columns after the threshold.
        images_csv: a table of single images to write, too, at the threshold with the highest mIoU.

    Raises:
        UserError: a mask does not fit its image or the classes.
    """
    image_ids = cams.image_ids if image_ids is None else image_ids
    conditions = dict(conditions or {})
    scored = _with_mask(image_ids, masks)
    counts = ThresholdCounts(len(cams.classes))
    walked_background = False
    with_background = np.zeros((len(cams.classes) + 1, len(cams.classes) + 2), dtype=np.int64)
    of_images: list[np.ndarray] = []  # (thresholds, measures) each
    for image_id in progress(scored, "scoring class maps"):
        image = cams.read(image_id)
        mask = read_mask(masks[image_id])
        try:
            mask = of_classes(mask, len(cams.classes))
            if image.background is not None:
                walked_background = True
                labels = label_values(image.classes)[pseudo_label_scores(image, None).argmax(axis=0)]
                matrix = confusion_matrix(of_classes(labels, len(cams.classes)), mask, len(cams.classes))
                with_background += matrix
                of_images.append(image_measures(matrix[None]))
            else:
                maps = divided_by_largest(image.full_size()) if walked else image.full_size()
                of_images.append(image_measures(counts.add(maps, image.classes, mask)))
        except ValueError as error:
            raise UserError(f"image '{image_id}', mask {masks[image_id]}: {error}") from None
    without_mask = len(image_ids) - len(scored)
    if walked_background:
        numbers = _row(scores_of(with_background), cams.classes, len(scored), without_mask)
        best = {"threshold": "", **conditions, **numbers}
        rows, same = [best], dict[str, str]()
        log.info("mIoU %s with the background of the walk, over %d images", best["miou"], len(scored))
    else:
        rows = threshold_rows(counts, cams.classes, conditions, len(scored), without_mask)
        best = max(rows, key=lambda row: float(row["miou"] or 0))
        same = {"threshold": best["threshold"]}
        log.info("best mIoU %s at threshold %s, over %d images", best["miou"], best["threshold"], len(scored))
    if images_csv is not None:
        write_image_scores(images_csv, scored, [measures[rows.index(best)] for measures in of_images], same)
    write_score_rows(rows, scores_csv)


def score_label_maps(
    label_maps: Mapping[str, Path],
    masks: Mapping[str, Path],
    classes: Sequence[str],
    scores_csv: Path,
    conditions: Mapping[str, str] | None = None,
    images_csv: Path | None = None,
) -> Scores:
    """Score label maps: one row.

    Args:
        label_maps: label map files by image id; a pixel of 255 counts as missed.
        masks: mask files by image id, values as in :func:`score_cams`.
        classes: names of the C object classes, without the background.
        scores_csv: the table to write.
        conditions: the conditions under which the label maps were made, as columns before the scores.
        images_csv: a table of single images to write, too.

    Returns:
        The scores.

    Raises:
        UserError: a mask does not fit its label map or the classes.
    """
    scored = _with_mask(label_maps, masks)
    matrix = np.zeros((len(classes) + 1, len(classes) + 2), dtype=np.int64)
    boundaries: list[float] = []
    of_images: list[np.ndarray] = []
    for image_id in progress(scored, "scoring label maps"):
        prediction, truth = read_mask(label_maps[image_id]), read_mask(masks[image_id])
        try:
            prediction, truth = of_classes(prediction, len(classes)), of_classes(truth, len(classes))
            own = confusion_matrix(prediction, truth, len(classes))
        except ValueError as error:
            files = f"label map {label_maps[image_id]}, mask {masks[image_id]}"
            raise UserError(f"image '{image_id}', {files}: {error}") from None
        matrix += own
        of_images.append(image_measures(own[None])[0])
        boundaries.append(boundary_f_score(prediction, truth))
    scores = scores_of(matrix)
    drawn = [value for value in boundaries if not np.isnan(value)]  # leaves out images without any boundary
    boundary_f = float(np.mean(drawn)) if drawn else float("nan")
    conditions = dict(conditions or {})
    in_words = "".join(f", {name}: {value}" for name, value in conditions.items())
    log.info("mIoU %.4f over %d images%s", scores.miou, len(scored), in_words)
    row = _row(scores, classes, len(scored), len(label_maps) - len(scored), boundary_f)
    if images_csv is not None:
        write_image_scores(images_csv, scored, of_images)
    write_score_rows([conditions | row], scores_csv)
    return scores


def threshold_rows(
    counts: ThresholdCounts, classes: Sequence[str], conditions: Mapping[str, str], images: int, without_mask: int
) -> list[dict[str, str]]:
    """The rows of a table of seed scores: one for each threshold.

    Args:
        counts: of all images together.
        classes: names of the C object classes, without the background.
        conditions: the conditions under which the maps were made, as columns after the threshold.
        images: how many images were scored.
        without_mask: how many images have no mask.
    """
    return [
        {"threshold": f"{threshold:.2f}", **conditions, **_row(scores_of(matrix), classes, images, without_mask)}
        for threshold, matrix in zip(THRESHOLDS, counts.matrices(), strict=True)
    ]


def _with_mask(image_ids: Iterable[str], masks: Mapping[str, Path]) -> list[str]:
    """The images with a mask, in their order; logs how many have none."""
    image_ids = list(image_ids)
    scored = [image_id for image_id in image_ids if image_id in masks]
    if not scored:
        log.warning(
            "none of these %d images has a mask: there is nothing to score, so the scores are empty", len(image_ids)
        )
    elif len(scored) < len(image_ids):
        log.info("%d of %d images have no mask and are left out", len(image_ids) - len(scored), len(image_ids))
    return scored


def _row(
    scores: Scores, classes: Sequence[str], images: int, without_mask: int, boundary_f: float | None = None
) -> dict[str, str]:
    shares = {
        "miou": scores.miou,
        "precision": scores.precision,
        "recall": scores.recall,
        "pixel_accuracy": scores.pixel_accuracy,
    }
    if boundary_f is not None:
        shares["boundary_f"] = boundary_f
    ious = zip(("background", *classes), scores.iou, strict=True)
    return {
        **{name: _cell(value) for name, value in shares.items()},
        "images_scored": str(images),
        "images_without_mask": str(without_mask),
        **{f"iou_{name}": _cell(value) for name, value in ious},
    }


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def write_score_rows(rows: Sequence[Mapping[str, str]], scores_csv: Path) -> None:
    """Write a table of scores, atomically; the columns are those of its first row."""
    with atomic_path(scores_csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
