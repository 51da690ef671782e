"""Chooses thresholds by scores: the best one on all training masks, or on a held-out list of images."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsss_core.datasets.table_file import damaged_table
from wsss_core.errors import UserError
from wsss_core.evaluation.score_file import read_scores
from wsss_core.files.atomic import write_json

log = logging.getLogger(__name__)


def choose_threshold(scores_csv: Path, threshold_json: Path, source: str) -> float:
    """Choose the threshold with the highest mIoU (the lowest of equal ones) and write it.

    Args:
        scores_csv: scores of class maps at all thresholds, from ``score_cams``.
        threshold_json: the file to write: ``threshold``, ``source``, ``miou`` and the number of ``images``.
        source: the origin of the threshold, in words.

    Returns:
        The threshold.

    Raises:
        UserError: nothing was scored because there are no masks, or the table is damaged.
    """
    curve = read_scores(scores_csv, thresholds=True)
    curve = curve[curve["threshold"] > 0]  # 0 would leave no background
    if curve.empty:
        raise damaged_table(scores_csv, "it has no threshold above 0")
    if curve["miou"].isna().all():
        raise UserError(f"{scores_csv}: there are no masks to choose a threshold with; give a fixed one")
    if "images_scored" not in curve or not (curve["images_scored"] >= 0).all():
        raise damaged_table(scores_csv, "it has no column 'images_scored' with the number of images")
    best = curve.iloc[int(curve["miou"].argmax())]
    chosen = {
        "threshold": float(best["threshold"]),
        "source": source,
        "miou": float(best["miou"]),
        "images": int(best["images_scored"]),
    }
    log.info("threshold %.2f, %s: mIoU %.4f on %d images", *chosen.values())
    write_json(threshold_json, chosen)
    return float(best["threshold"])


def read_threshold(threshold_json: Path | str) -> dict[str, Any]:
    """Read what :func:`choose_threshold` has written.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        chosen = json.loads(Path(threshold_json).read_text(encoding="utf-8"))
        threshold = chosen["threshold"]
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
            raise ValueError(f"{threshold!r} does not lie between 0 and 1")
        return {**chosen, "threshold": float(threshold)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{threshold_json}: holds no chosen threshold ({error}); delete it and make it again") from None


def threshold_from(fixed: float | None, threshold_json: Sequence[str]) -> float | None:
    """The threshold of a job: that of the file, if the job has one (a list of one), else the fixed one."""
    return read_threshold(threshold_json[0])["threshold"] if threshold_json else fixed
