"""Class maps whose values are alike for all classes, so that one threshold fits them all.

Each class's maps are raised to a power. A classifier may know a class by a small part, such as a dog by its face: that
class's maps are then low outside this part, and one threshold for all classes cuts off the rest of the object, while
it lets maps of other classes reach into the background. docs/methods/thresholds.md says what it is worth.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.evaluation.threshold_of_maps import DEVIATIONS
from wsss_core.files.atomic import write_json
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.inference.cam_blocks import BLOCK_IMAGES, Blocks, Drawn, write_cams_in_blocks
from wsss_core.jobs.progress import progress
from wsss_core.jobs.run import Run

LARGEST_POWER = 3.0
"""Powers are between a third and this, so that a class with few images or odd maps is not changed too much."""
LEVELS = (0.01, 0.99)
"""Levels are kept between these, as powers do not change the values 0 and 1."""
log = logging.getLogger(__name__)


def measure_classes(cams: CamStoreReader, powers_json: Path) -> dict[str, float]:
    """Find the power for each class's maps, and write it.

    A level is 0.65 standard deviations above the mean of values, as in the threshold rule
    (:mod:`wsss_core.evaluation.threshold_of_maps`). A class's level is that of its maps in all images that show it,
    with equal weight for each image; the common level is that of the largest value over an image's classes. The power
    takes the class's level to the common one.

    Args:
        cams: class maps of all training images.
        powers_json: the file to write: ``level``, and for each class with maps its ``power``, ``level`` and number of
            ``images``.

    Returns:
        The power for each class that has maps, by name.

    Raises:
        UserError: the maps are damaged.
    """
    of_classes: dict[str, list[tuple[float, float]]] = {}
    of_images: list[tuple[float, float]] = []
    for image_id in progress(cams.image_ids, "measuring class maps"):
        image = cams.read(image_id)
        maps = image.cam.astype(np.float64)
        if not len(maps):
            continue
        of_images.append(_moments(maps.max(axis=0)))
        for index, values in zip(image.classes, maps, strict=True):
            of_classes.setdefault(cams.classes[index], []).append(_moments(values))
    common = _level(of_images) if of_images else math.nan
    classes = {}
    for name in filter(of_classes.__contains__, cams.classes):
        level = _level(of_classes[name])
        power = min(max(math.log(common) / math.log(level), 1 / LARGEST_POWER), LARGEST_POWER)
        classes[name] = {"power": round(power, 4), "level": round(level, 4), "images": len(of_classes[name])}
        log.info("%s: level %.3f, power %.2f", name, level, power)
    write_json(powers_json, {"level": round(common, 4) if of_images else None, "classes": classes})
    return {name: measured["power"] for name, measured in classes.items()}


def balance_classes(
    powers_json: Path, index: DatasetIndex, cams: CamStoreReader, precision: str, shard_file: Path, run: Run = Run()
) -> None:
    """Write a shard's class maps, each raised to its class's power; a killed run continues after its last block.

    Args:
        powers_json: what :func:`measure_classes` has written.
        index: the shard's images.
        cams: class maps of at least these images.
        precision: ``float16`` or ``float32``: how the maps are stored.
        shard_file: the HDF5 file to write.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the powers cannot be read, or the maps are damaged or of other classes.
    """
    cams.check_classes(index.classes)
    powers = _read_powers(powers_json)

    def draw(blocks: Blocks) -> Drawn:
        for block in blocks:
            for position in block:
                image = cams.read(index.image_ids[position])
                names = [cams.classes[each] for each in image.classes]
                if missing := [name for name in names if name not in powers]:
                    raise UserError(
                        f"{powers_json}: has no power for the class '{missing[0]}', which image '{image.image_id}' "
                        "shows; delete it, and run again"
                    )
                exponents = np.array([powers[name] for name in names], np.float32)[:, None, None]
                high_res = None if image.high_res is None else image.high_res**exponents
                yield replace(image, cam=image.cam**exponents, high_res=high_res)

    write_cams_in_blocks(
        shard_file, index, draw, run, precision, description="balancing class maps", block_images=BLOCK_IMAGES
    )


def _moments(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(np.square(values).mean())


def _level(moments: list[tuple[float, float]]) -> float:
    mean, square = np.mean(moments, axis=0)
    return float(np.clip(mean + DEVIATIONS * math.sqrt(max(square - mean**2, 0.0)), *LEVELS))


def _read_powers(powers_json: Path) -> Mapping[str, float]:
    try:
        content: dict[str, Any] = json.loads(powers_json.read_text(encoding="utf-8"))
        return {name: float(measured["power"]) for name, measured in content["classes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{powers_json}: the powers cannot be read ({error}); delete it, and run again") from None
