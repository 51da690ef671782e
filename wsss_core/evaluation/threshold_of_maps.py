"""Chooses a threshold without masks, from the values of all images' class maps.

The threshold is 0.65 standard deviations above the mean. Maps that cover more of the objects, such as AdvCAM's, have
larger values everywhere, and so get the higher threshold that they need. The value 0.65 was found on photographs and on
creatures; docs/methods/thresholds.md says how, and how far the rule is from the best threshold.
"""

import logging
import math
from pathlib import Path

import numpy as np

from wsss_core.config.background import THRESHOLD_STEPS
from wsss_core.errors import UserError
from wsss_core.files.atomic import write_json
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.progress import progress

DEVIATIONS = 0.65
"""How many standard deviations the threshold is above the mean."""
log = logging.getLogger(__name__)


def choose_threshold_without_masks(
    cams: CamStoreReader, threshold_json: Path, source: str, walked: bool = False
) -> float:
    """Choose a threshold from the class maps and write it.

    The value of a pixel is the largest over its image's classes, in the small maps. All images have equal weight,
    whatever their size.

    Args:
        cams: class maps of the training images.
        threshold_json: the file to write: ``threshold``, ``source``, and the number of ``images``.
        source: the origin of the threshold, in words.
        walked: the maps are the result of a random walk: each image's maps are first divided by their largest value.

    Returns:
        The threshold, one of 0.01, ..., 0.99.

    Raises:
        UserError: no image has a class map, its maps are damaged, or all maps are constant.
    """
    moments = []
    for image_id in progress(cams.image_ids, "looking for a threshold"):
        maps = cams.read(image_id).cam
        if not len(maps):
            continue
        values = maps.max(axis=0).astype(np.float64)
        if walked:
            values = values / max(values.max(), np.finfo(np.float64).tiny)
        moments.append((values.mean(), np.square(values).mean()))
    if not moments:
        raise UserError(f"{threshold_json}: no threshold can be chosen, as no image has a class map")
    mean, square = np.mean(moments, axis=0)
    deviation = math.sqrt(max(square - mean**2, 0.0))
    if deviation == 0:
        raise UserError(
            f"{threshold_json}: no threshold can be chosen, as the class maps of all {len(moments)} images are "
            "constant; give a number, and check whether the classifier has learned anything"
        )
    hundredths = round((mean + DEVIATIONS * deviation) * THRESHOLD_STEPS)
    threshold = min(max(hundredths, 1), THRESHOLD_STEPS - 1) / THRESHOLD_STEPS
    log.info("threshold %.2f, %s: mean %.3f, deviation %.3f", threshold, source, mean, deviation)
    write_json(threshold_json, {"threshold": threshold, "source": source, "images": len(moments)})
    return threshold
