"""Compares PAR and PAMR with the dense CRF: time, and, with a classifier and masks, scores.

``python -m benchmarks.averaging`` refines the scores of generated scenes of VOC's size, with each refinement's
published settings: the CRF on one core, PAR and PAMR on ``--device``. ``ratio`` is the CRF's median time over PAR's;
``deviation`` is the proportion of pixels with another label if PAR computes in float64.

With ``--classifier weights.safetensors --index FOLDER --masks masks.csv`` (from a results folder), it then makes the
class maps of ``--images`` training images, evenly spread, and scores the seed and each refinement of it, all at the
seed's best threshold on these images: an oracle, the same for all rows. Settings for small images are ``SMALL``.
Segments are Felzenszwalb and Huttenlocher's (scikit-image) at three scales, instead of a network's such as SAM's: they
only show that joining with segments works.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.crf import make_scene
from benchmarks.measuring import heading, last_line, median_seconds, torch_threads
from wsss_core.cams.draw_cams import draw_cams
from wsss_core.config.averaging import Averaging, Pamr, Par
from wsss_core.config.background import BackgroundScore
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.crf import Crf
from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.index import DatasetIndex, read_index, split_labels
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.sam_masks import Segment, segment_of
from wsss_core.evaluation.confusion import confusion_matrix, scores_of
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.refinement.confident_labels import label_values
from wsss_core.refinement.crf import with_background
from wsss_core.refinement.joined_masks import join_masks
from wsss_core.refinement.local_averaging import AveragedScores, LocalAveraging
from wsss_core.refinement.refined_scores import refiner_of

SMALL = {"shrink": 1, "dilations": (1, 2, 4, 8)}
"""PAR's and PAMR's settings for images of one or two hundred pixels."""
SMALL_CRF = Crf(
    unary="labels", certainty=0.6, iterations=5, long_side=None, bilateral_sxy=12, bilateral_srgb=20, bilateral_compat=5
)
"""The demo's CRF, for images of a hundred pixels."""
REFINEMENTS: dict[str, Crf | Averaging | None] = {
    "none": None,
    "CRF": Crf(),
    "CRF, the demo's": SMALL_CRF,
    "PAR": Par(),
    "PAR, small": Par.model_validate(SMALL),
    "PAMR": Pamr(),
    "PAMR, small": Pamr.model_validate(SMALL),
}
"""The refinements by the row's name."""
JOINED = ("none", "CRF")
"""Rows that are also joined with segments."""
THRESHOLDS = np.arange(5, 80, 5) / 100
"""Candidates for the seed's threshold."""


def compare_times(options: argparse.Namespace, device: torch.device) -> str:
    """Time all three on a generated scene, and return the last line of the output."""
    image, maps = make_scene(0, options.height, options.width, options.labels)
    scores = with_background(maps, BackgroundScore(threshold=0.3))
    found: dict[str, float] = {}
    for name in ("CRF", "PAR", "PAMR"):
        settings = REFINEMENTS[name]

        def refine(settings: Crf | Averaging | None = settings) -> np.ndarray:
            return refiner_of(image, len(scores), settings, device).infer(scores)

        _, found[name] = median_seconds(refine, options.repeats, device)
        print(f"{name}: {1000 * found[name]:.1f} ms an image", flush=True)
    return last_line(found["CRF"] / found["PAR"], deviation_from_float64(image, scores, device))


def deviation_from_float64(image: np.ndarray, scores: np.ndarray, device: torch.device) -> float:
    """The proportion of pixels for which PAR, at the full size, gives another label in float32 than in float64."""
    settings = Par(shrink=1)
    found = AveragedScores(image, settings, device).infer(scores).argmax(axis=0)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    exact = LocalAveraging(pixels, settings)(torch.from_numpy(scores).double()[None].softmax(1))[0]
    return float((found != exact.argmax(0).numpy()).mean())


def segments_of(image: np.ndarray) -> list[Segment]:
    """Segments of similar colour, at three scales."""
    from skimage.segmentation import felzenszwalb

    segments = []
    for scale in (50, 200, 800):
        numbers = felzenszwalb(image, scale=scale, sigma=0.8, min_size=30)
        segments += [segment_of(numbers == number) for number in range(numbers.max() + 1)]
    return segments


Scene = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Image, class maps (K, H, W), label values (K + 1,) and mask."""


def scenes_of(index: DatasetIndex, masks: Path, classifier: Path, images: int) -> list[Scene]:
    """Images with their class maps (CAM at scale 1) and masks, evenly spread over the training images."""
    train, truths = index.split("train"), read_label_manifest([masks])
    network, settings = load_classifier(classifier), MultiscaleCams(classifier="", scales=(1.0,))
    scenes = []
    rows = zip(train.image_ids, train.image_paths, train.columns["labels"], strict=True)
    known = [row for row in rows if row[0] in truths and row[2]]
    for image_id, path, labels in known[:: max(1, len(known) // images)][:images]:
        maps = draw_cams(network, path, split_labels(labels), settings)
        values = label_values(np.array([index.classes.index(network.classes[k]) for k in maps.classes]))
        scenes.append((read_image(path), maps.full_size(), values, read_mask(truths[image_id])))
    return scenes


def refined(scene: Scene, refinement: Crf | Averaging | None, threshold: float, device: torch.device) -> np.ndarray:
    """A scene's label map."""
    image, maps, values, _ = scene
    scores = with_background(maps, BackgroundScore(threshold=threshold))
    return values[refiner_of(image, len(scores), refinement, device).infer(scores).argmax(axis=0)]


def compare_scores(options: argparse.Namespace, device: torch.device) -> None:
    """Print the table of scores after each refinement."""
    index = read_index(options.index / "index.csv", options.index / "classes.json")
    scenes, classes = scenes_of(index, options.masks, options.classifier, options.images), len(index.classes)

    def miou(labels: Sequence[np.ndarray]) -> float:
        counts = [confusion_matrix(found, scene[3], classes) for found, scene in zip(labels, scenes, strict=True)]
        return 100 * scores_of(np.sum(counts, axis=0)).miou

    seeds = {at: miou([refined(scene, None, at, device) for scene in scenes]) for at in THRESHOLDS}
    threshold = max(seeds, key=seeds.__getitem__)
    print(f"\n{len(scenes)} images, CAM at scale 1, background from {threshold:.2f} (the best one: an oracle)\n")
    print("| pseudo labels of class maps | mIoU | over the seed | ms an image |\n|---|---|---|---|", flush=True)
    made: dict[str, list[np.ndarray]] = {}
    for name, refinement in REFINEMENTS.items():
        times, made[name] = [], []
        for scene in scenes:
            start = time.perf_counter()
            made[name].append(refined(scene, refinement, threshold, device))
            times.append(1000 * (time.perf_counter() - start))
        _print_row(name, miou(made[name]), seeds[threshold], f"{statistics.median(times):.0f}")
    segments = [segments_of(scene[0]) for scene in scenes]
    for name in JOINED:
        joined = [join_masks(*pair, SamMasks(folder="segments")) for pair in zip(made[name], segments, strict=True)]
        _print_row(f"{name}, joined with segments", miou(joined), seeds[threshold], "–")


def _print_row(name: str, score: float, seed: float, milliseconds: str) -> None:
    print(f"| {name} | {score:.1f} | {score - seed:+.1f} | {milliseconds} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the times, and the scores if there are masks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.averaging", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--labels", type=int, default=3, help="including the background (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1, as in pydensecrf)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--classifier", type=Path, help="weights.safetensors, for scores")
    parser.add_argument("--index", type=Path, help="folder with index.csv and classes.json")
    parser.add_argument("--masks", type=Path, help="masks.csv")
    parser.add_argument("--images", type=int, default=60, help="training images to score (default: 60)")
    options = parser.parse_args(arguments)
    if len({options.classifier is None, options.index is None, options.masks is None}) > 1:
        parser.error("give --classifier, --index and --masks together")
    device = torch.device(options.device)
    with torch_threads(options.threads):
        print(heading(options.threads, device))
        print(f"one image of {options.height}x{options.width}, {options.labels} labels", flush=True)
        figures = compare_times(options, device)
        if options.classifier is not None:
            compare_scores(options, device)
    print(figures)


if __name__ == "__main__":
    main()
