"""Scores AdvCAM's seed at every number of steps up to that of its settings, while each image climbs only once.

AdvCAM's paper has this plot (Lee et al., CVPR 2021): mIoU of the seed over T, with and without regularisation. The maps
for t steps are sums over the first t steps of the longest climb, so that one climb is enough for all t.
"""

import logging
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wsss_core.cams.advcam import climbed_maps, steps_at_scale, weight_of_sums
from wsss_core.cams.amplification import REGIONS, Amplification
from wsss_core.cams.climbing import ClimbableClassifier
from wsss_core.cams.generate_cams import prepared_for_drawing
from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.config.cams import AdvCams
from wsss_core.datasets.images import read_indexed_image, read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_values import of_classes
from wsss_core.errors import UserError, images_named
from wsss_core.evaluation.score import threshold_rows, write_score_rows
from wsss_core.evaluation.thresholds import ThresholdCounts
from wsss_core.files.atomic import atomic_path
from wsss_core.files.image_cams import CAM_STRIDE, enlarged
from wsss_core.files.resume import PartialWork
from wsss_core.inference.scaled_images import scaled_images
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.progress import Progress
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier_files import load_classifier

BLOCK_IMAGES = 16
"""A killed job loses at most this many images."""
log = logging.getLogger(__name__)


def score_climb(
    parameters: AdvCams,
    index: DatasetIndex,
    masks: Mapping[str, Path],
    classifier_weights: Path,
    tables: tuple[Path, Path],
    conditions: Mapping[str, str] | None = None,
    run: Run = Run(),
) -> None:
    """Score the seed after each step of a climb; a killed run continues after its last block of images.

    Args:
        parameters: the settings for drawing the maps; ``steps`` is the longest climb.
        index: the images to score.
        masks: mask files by image id; values as in :func:`wsss_core.evaluation.score.score_cams`.
        classifier_weights: file of the classifier.
        tables: the files to write: the scores, with a row for each number of steps and threshold; and the growing
            regions, with a row for each step (:mod:`wsss_core.cams.amplification`).
        conditions: the conditions under which the maps are made, as columns after the threshold.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: the weights are not a classifier's, or are for other classes than the data set's; an image cannot be
            read or a mask does not fit it.
    """
    partial = PartialWork(tables[0].parent, "climb_scores", run.inputs)
    if partial.restore(*tables):
        return
    classifier = load_classifier(classifier_weights, device_for(run, parameters.arithmetic), index.classes)
    network = prepared_for_drawing(classifier, parameters)
    scored = _scored_images(index, masks)
    tally = _Tally(len(index.classes), parameters.steps)
    kept = partial.path("tally.npz")
    done = tally.read(kept)
    if done:
        log.info("continuing after %d images", done)
    at = scale_of_regions(parameters)
    if (counted := _steps_at(parameters, at)) < parameters.steps:
        log.warning(
            "growing regions are counted over %d of %d steps: no scale has more (the nearest to 1 is %g)",
            *(counted, parameters.steps, parameters.scales[at]),
        )
    counter = Progress("scoring climbs", len(scored), done=done)
    for number, image in enumerate(scored[done:], start=done + 1):
        _count(tally, network, image, parameters)
        if number % BLOCK_IMAGES == 0:
            tally.write(kept, number)
        counter.advance()
    counter.close()
    without_mask = len(index) - len(scored)
    rows = [
        {"steps": str(steps), **row}
        for steps, counts in enumerate(tally.of_steps, start=1)
        for row in threshold_rows(counts, index.classes, dict(conditions or {}), len(scored), without_mask)
    ]
    write_score_rows(rows, tables[0])
    write_score_rows(amplification_rows(tally.amplification), tables[1])
    partial.finish(*tables)


class _Tally:
    """The counts over all images so far."""

    def __init__(self, classes: int, steps: int) -> None:
        self.classes = classes
        self.of_steps = [ThresholdCounts(classes) for _ in range(steps)]
        self.amplification = Amplification(steps)

    def _arrays(self) -> dict[str, np.ndarray]:
        counted = {f"counts_{step}": counts.counts for step, counts in enumerate(self.of_steps)}
        grown = {name: getattr(self.amplification, name) for name in ("pixels", "grown", "ratios")}
        return counted | grown

    def write(self, path: Path, images: int) -> None:
        """Save the counts over the first ``images`` images."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, images=np.array(images), **self._arrays())  # type: ignore[arg-type]

    def read(self, path: Path) -> int:
        """Restore saved counts; returns the number of images. A damaged file counts as none."""
        own = self._arrays()
        with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            with np.load(path, allow_pickle=False) as kept:
                found = {name: kept[name] for name in own}
                images = int(kept["images"])
            if all(found[name].shape == values.shape for name, values in own.items()):
                for name, values in own.items():
                    values[...] = found[name]
                return images
        return 0


class _Scored(NamedTuple):
    """An image to score."""

    image_id: str
    file: Path
    size: tuple[int, int]
    classes: np.ndarray
    """(K,): indices of its labels."""
    mask: Path


def _scored_images(index: DatasetIndex, masks: Mapping[str, Path]) -> list[_Scored]:
    """The images that have a mask, in the order of the index."""
    columns = zip(index.image_ids, index.image_paths, index.sizes, index.label_matrix, strict=True)
    return [
        _Scored(image_id, file, size, np.flatnonzero(labels), masks[image_id])
        for image_id, file, size, labels in columns
        if image_id in masks
    ]


def _count(tally: _Tally, classifier: ClimbableClassifier, scored: _Scored, parameters: AdvCams) -> None:
    """Let an image climb, and count its maps at every number of steps."""
    image = read_indexed_image(scored.file, scored.size)
    present = scored.classes
    try:
        mask = of_classes(read_mask(scored.mask), tally.classes)
        if not len(present):
            for counts in tally.of_steps:
                counts.add(np.zeros((0, *image.shape[:2]), np.float32), present, mask)
            return
        with images_named([scored.image_id]):
            climbed = climbs_at_scales(classifier, image, present.tolist(), parameters)
        for counts, maps in zip(tally.of_steps, maps_over_steps(climbed, image.shape[:2], parameters), strict=True):
            counts.add(maps, present, mask)
    except ValueError as error:
        raise UserError(f"image '{scored.image_id}', mask {scored.mask}: {error}") from None
    for maps in climbed[scale_of_regions(parameters)].float().cpu().numpy():
        tally.amplification.add(maps)


def scale_of_regions(parameters: AdvCams) -> int:
    """Position of the scale at which growing regions are counted.

    Returns:
        Among the scales with all steps (climbs below 1 may take fewer), the nearest to 1; of two equally near, the
        larger. If no scale has all steps, the nearest to 1 of all.
    """
    all_steps = [n for n in range(len(parameters.scales)) if _steps_at(parameters, n) == parameters.steps]
    candidates = all_steps or range(len(parameters.scales))
    return min(candidates, key=lambda n: (abs(parameters.scales[n] - 1), -parameters.scales[n]))


def _steps_at(parameters: AdvCams, number: int) -> int:
    return steps_at_scale(parameters.steps, parameters.scales[number], parameters.steps_below_scale_1)


def climbs_at_scales(
    classifier: ClimbableClassifier, image: np.ndarray, class_indices: Sequence[int], parameters: AdvCams
) -> list[Tensor]:
    """The maps of an image's climbs at all scales.

    Args:
        classifier: see :func:`wsss_core.cams.advcam.advcam_class_maps`.
        image: (H, W, 3) uint8 RGB.
        class_indices: the K classes that it shows; each has its own climb.
        parameters: scales, steps and so on.

    Returns:
        For each scale, (K, steps at this scale, h, w), on the classifier's device.
    """
    images = scaled_images([image], parameters.scales).sent_to(next(iter(classifier.parameters())))
    return [
        climbed_maps(
            classifier,
            clean,
            [class_indices],
            steps_at_scale(parameters.steps, scale, parameters.steps_below_scale_1),
            parameters,
        )
        for scale, clean in zip(parameters.scales, images.scaled, strict=True)
    ]


def maps_over_steps(climbed: Sequence[Tensor], size: tuple[int, ...], parameters: AdvCams) -> Iterator[np.ndarray]:
    """The class maps that settings with 1, 2, ... ``steps`` would give, as stored and scored.

    Args:
        climbed: the result of :func:`climbs_at_scales`.
        size: the image's height and width.
        parameters: the settings of the climbs.

    Yields:
        (K, height, width) float32 in [0, 1].
    """
    first = [maps[:, 0] for maps in climbed]
    later = [torch.zeros_like(clean) for clean in first]
    summed = [1] * len(climbed)
    for steps in range(1, parameters.steps + 1):
        sums = SummedMaps(size[0], size[1])
        for number, scale in enumerate(parameters.scales):
            wanted = steps_at_scale(steps, scale, parameters.steps_below_scale_1)
            for step in range(summed[number], wanted):  # in the order of a separate climb
                later[number] = later[number] + climbed[number][:, step]
            summed[number] = wanted
            total = first[number] if wanted == 1 else first[number] + later[number]
            sums.add(weight_of_sums(steps, parameters.scales) * total, parameters.high_res)
        cam, high_res = sums.normalised()
        stored = (cam if high_res is None else high_res).float().cpu().numpy()
        stored = stored.astype(parameters.precision).astype(np.float32)
        yield stored if high_res is not None else enlarged(stored, CAM_STRIDE, *size)


def amplification_rows(amplification: Amplification) -> list[dict[str, str]]:
    """A row for each step: for each region, the share of pixels that have grown, and the mean ratio."""
    shares, ratios = amplification.shares(), amplification.mean_ratios()
    return [
        {
            "step": str(step + 1),
            **{f"grown_{name}": _cell(shares[step, region]) for region, name in enumerate(REGIONS)},
            **{f"ratio_{name}": _cell(ratios[step, region]) for region, name in enumerate(REGIONS)},
        }
        for step in range(amplification.steps)
    ]


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"
