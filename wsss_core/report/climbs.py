"""AdvCAM's climb as pictures to step through: the image, the map, and the sum so far, at each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from wsss_core.cams.amplification import REGIONS, Amplification
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.label_values import ignored_in
from wsss_core.files.climb_store import ImageClimb, read_climbs
from wsss_core.report.charts import COLOURS, Series, line_chart
from wsss_core.report.gallery_choice import evenly
from wsss_core.report.score_table import threshold_in_words
from wsss_core.report.thumbnails import heat_strip, image_strip, thumbnail_size

MOST_FRAMES = 32
"""Steps that are shown of a longer climb: evenly spread, including the first and the last."""
EPSILON = 1e-5
"""Added to the maximum that class maps are divided by."""
CHART = (320, 190)
"""Width and height of a climb's charts."""


@dataclass(frozen=True)
class Climb:
    """One image's climb for one of its classes."""

    variant: str
    """The CAM variant."""
    image_id: str
    class_name: str
    ratio: str
    """The image's ratio of width to height, in CSS."""
    steps: Sequence[int]
    """The shown steps, counted from 1."""
    all_steps: int
    """Number of all steps."""
    scores: Sequence[float]
    """The class's score at each shown step."""
    iou: Sequence[float]
    """The IoU of the sum so far with the class in the mask, at each shown step; empty without a mask."""
    threshold: str
    """The threshold above which the sum counts as the class, in words."""
    images: str
    """The ``data:`` address of the images, step by step side by side."""
    maps: str
    """The same for the steps' maps."""
    sums: str
    """The same for the sums up to each step."""
    score_chart: Markup
    iou_chart: Markup
    grown_chart: Markup
    """The share of each region's pixels that have grown, see :mod:`wsss_core.cams.amplification`."""


def draw_climbs(climbs: Mapping[str, Mapping[str, Any]], masks_csv: str | None) -> list[Climb]:
    """Draw all recorded climbs, image by image, so that the variants' climbs of an image are side by side.

    Args:
        climbs: by CAM variant, the ``file`` of its climbs and its seed's ``threshold``, described as in
            :func:`wsss_core.report.score_table.threshold_in_words`.
        masks_csv: the manifest of the masks, if there are any.

    Raises:
        UserError: a file is missing or damaged.
    """
    masks = read_label_manifest([masks_csv]) if masks_csv else {}
    drawn = []
    for variant, described in climbs.items():
        classes, recorded = read_climbs(described["file"])
        threshold, words = threshold_in_words(described["threshold"])
        for climb in recorded:
            mask_file = masks.get(climb.image_id)
            mask = None if mask_file is None else read_mask(mask_file)
            for k in range(len(climb.classes)):
                drawn.append(_drawn(variant, climb, k, classes, mask, threshold, words))
    return sorted(drawn, key=lambda climb: (climb.image_id, climb.class_name))  # stable: the variants keep their order


def _drawn(
    variant: str,
    climb: ImageClimb,
    k: int,
    classes: Sequence[str],
    mask: np.ndarray | None,
    threshold: float,
    words: str,
) -> Climb:
    maps, value = climb.maps[k], int(climb.classes[k]) + 1  # (steps, h, w)
    sums = np.stack([normalised(total) for total in maps.cumsum(axis=0)])
    all_steps = len(maps)
    shown = sorted({*evenly(all_steps, MOST_FRAMES - 1), all_steps - 1})
    size = thumbnail_size((climb.height, climb.width))
    iou = [] if mask is None else [class_iou(total, mask, value, threshold) for total in sums]
    return Climb(
        variant,
        climb.image_id,
        classes[value - 1],
        f"{climb.width} / {climb.height}",
        [step + 1 for step in shown],
        all_steps,
        [float(climb.scores[k, step]) for step in shown],
        [iou[step] for step in shown] if iou else [],
        words,
        image_strip(climb.images[k, shown], size),
        heat_strip([normalised(maps[step]) for step in shown], size),
        heat_strip(sums[shown], size),
        _chart("score of the class", [float(score) for score in climb.scores[k]]),
        _chart("IoU of the sum, %", [100 * value for value in iou]),
        _grown_chart(maps),
    )


def _chart(label: str, values: Sequence[float]) -> Markup:
    points = list(enumerate(values, start=1))
    lowest = min(0.0, *values) if values else None
    return line_chart(f"{label} over the steps", [Series(label, 0, points)], "step", label, CHART, lowest, whole=True)


def _grown_chart(maps: np.ndarray) -> Markup:
    grown = Amplification(len(maps))
    grown.add(maps)
    shares = 100 * grown.shares()  # (steps, regions)
    steps = range(1, len(maps) + 1)
    lines = [
        Series(f"{name} region", number * COLOURS, list(zip(steps, shares[:, number].tolist(), strict=True)))
        for number, name in enumerate(REGIONS)
    ]
    return line_chart("Pixels that have grown over the steps", lines, "step", "grown, %", CHART, 0, whole=True)


def normalised(maps: np.ndarray) -> np.ndarray:
    """A map (h, w) divided by its maximum plus ``EPSILON``."""
    return maps / (maps.max() + EPSILON)


def class_iou(values: np.ndarray, mask: np.ndarray, value: int, threshold: float) -> float:
    """IoU of the pixels where a class's map is above a threshold with the class's pixels in the mask.

    Args:
        values: the map (h, w), resized to the mask's size bilinearly.
        mask: (H, W); ignored pixels do not count.
        value: the class's value in the mask.
        threshold: what is not above it is background.
    """
    height, width = mask.shape
    enlarged = np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    counted = mask != ignored_in(mask)
    found, wanted = (enlarged > threshold) & counted, (mask == value) & counted
    union = int((found | wanted).sum())
    return float((found & wanted).sum()) / union if union else 0.0
