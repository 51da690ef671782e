"""Finds label maps that are worth correcting: unsure ones, and those on which experiments disagree."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path

import numpy as np

from wsss_core.config.refinement import PseudoLabels
from wsss_core.config.segmentation import Prediction
from wsss_core.correction.made_labels import label_maps_of, shards_of
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.index_saliency import read_saliency_table
from wsss_core.datasets.label_values import ignored_in
from wsss_core.errors import UserError
from wsss_core.evaluation.choose_threshold import read_threshold
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.files.probability_store import read_probabilities
from wsss_core.jobs.progress import progress
from wsss_core.plan.artifacts import Artifact
from wsss_core.refinement.pseudo_label_map import pseudo_label_scores
from wsss_core.refinement.saliency_scores import read_fitting_saliency


def confidences(artifact: Artifact, images: DatasetIndex, device: str = "auto") -> dict[str, float]:
    """How sure an experiment is of each image's labels: the mean over its pixels of the highest score's share.

    The scores are those before a CRF: for pseudo labels, of class maps and background; for predictions, the network's
    probabilities, which are computed unless the segmenter's ``keep_probabilities`` kept them.

    Args:
        artifact: of the stage ``pseudo_labels`` or ``predictions``.
        images: the images to rate.
        device: for running the network, if needed.

    Returns:
        A number in (0, 1] by image id.

    Raises:
        UserError: a required file is not made yet, or is damaged.
    """
    shares = _of_maps(artifact, images) if artifact.stage == "pseudo_labels" else _of_network(artifact, images, device)
    return dict(progress(shares, "Looking for unsure labels", len(images)))


def _of_maps(artifact: Artifact, images: DatasetIndex) -> Iterator[tuple[str, float]]:
    parameters = artifact.parameters
    fixed = parameters["seed_threshold"]
    chosen = {
        role: read_threshold(artifact.upstream[role].path("threshold.json"))["threshold"]
        for role in ("seed_threshold", "threshold")
        if role in artifact.upstream
    }
    settings = PseudoLabels(**parameters["pseudo_labels"])
    background = settings.background.resolved(chosen.get("seed_threshold", fixed), chosen.get("threshold"))
    table = artifact.upstream.get("saliency")
    saliency_maps = {} if table is None else read_saliency_table(table.path("saliency.csv"))
    with CamStoreReader(shards_of(artifact.upstream["maps"])) as maps:
        for image_id in images.image_ids:
            found = maps.read(image_id)
            if len(found.classes) == 0:
                yield image_id, 1.0
                continue
            file = saliency_maps.get(image_id)
            saliency = None if file is None else read_fitting_saliency(file, found.height, found.width)
            yield image_id, share_of_highest(pseudo_label_scores(found, background, saliency, settings.divided))


def _of_network(artifact: Artifact, images: DatasetIndex, device: str) -> Iterator[tuple[str, float]]:
    parameters = Prediction(**artifact.parameters)
    if parameters.keep_probabilities:
        stores = shards_of(artifact, "probabilities", ".h5")
        for image_id in images.image_ids:
            yield image_id, share_of_highest(_stored(stores, image_id))
        return
    # Only here, because torch takes seconds to import.
    from wsss_core.jobs.numerics import device_for
    from wsss_core.jobs.run import Run
    from wsss_core.networks.segmenter_files import load_segmenter
    from wsss_core.segmentation.class_probabilities import batches_of, prediction_network, scored_images

    weights = Path(artifact.upstream["segmenter"].path("weights.safetensors"))
    chosen = device_for(Run(device=device), parameters.arithmetic)
    network = prediction_network(load_segmenter(weights, chosen), parameters)
    wanted = range(len(images))
    batches = batches_of(images, wanted, parameters, next(network.parameters()).device)
    with closing(scored_images(network, images, batches, parameters)) as found:
        for scored in found:
            yield images.image_ids[scored.position], share_of_highest(scored.probabilities)


def _stored(stores: Sequence[Path], image_id: str) -> np.ndarray:
    """The probabilities of an image, from whichever of the files has it."""
    for store in stores[:-1]:
        try:
            return read_probabilities(store, image_id)
        except UserError:
            continue
    return read_probabilities(stores[-1], image_id)


def share_of_highest(scores: np.ndarray) -> float:
    """The mean over all pixels of the highest score's share.

    Args:
        scores: (K + 1, H, W), at least 0.
    """
    total = scores.sum(axis=0)
    known = total > 0
    return float((scores.max(axis=0)[known] / total[known]).mean()) if known.any() else 0.0


def disagreements(artifacts: Sequence[Artifact], images: DatasetIndex) -> dict[str, float]:
    """How much experiments disagree on each image: 1 minus the mean IoU of its classes, averaged over all pairs.

    Args:
        artifacts: two or more, of stages that make label maps.
        images: the images to compare.

    Returns:
        A number in [0, 1] by image id.

    Raises:
        UserError: label maps are not made yet.
    """
    maps = [label_maps_of(artifact) for artifact in artifacts]
    wanted = [image_id for image_id in images.image_ids if all(image_id in of_one for of_one in maps)]

    def compared() -> Iterator[tuple[str, float]]:
        for image_id in wanted:
            labels = [read_mask(of_one[image_id]) for of_one in maps]
            yield image_id, float(np.mean([1 - mean_iou(*pair) for pair in combinations(labels, 2)]))

    return dict(progress(compared(), "Comparing experiments", len(wanted)))


def mean_iou(one: np.ndarray, other: np.ndarray) -> float:
    """The mean IoU of two label maps over the classes (and background) that either shows, without ignored pixels.

    Args:
        one: uint8 or uint16 (H, W).
        other: of the same size and dtype.

    Returns:
        A number in [0, 1]; 1 if no pixel is left.
    """
    counted = (one != ignored_in(one)) & (other != ignored_in(other))
    one, other = one[counted], other[counted]
    both = np.bincount(one[one == other])
    of_one, of_other = np.bincount(one), np.bincount(other)
    size = max(len(of_one), len(of_other))
    both, of_one, of_other = (np.pad(counts, (0, size - len(counts))) for counts in (both, of_one, of_other))
    union = of_one + of_other - both
    present = union > 0
    return float((both[present] / union[present]).mean()) if present.any() else 1.0


def worst(worth: Mapping[str, float], number: int | None, lowest: bool) -> list[str]:
    """The ids of the images that are most worth correcting, the best first.

    Args:
        worth: a figure for each image.
        number: how many, at most; None for all.
        lowest: whether the lowest figures come first, or the highest.
    """
    return sorted(worth, key=lambda image_id: (worth[image_id] if lowest else -worth[image_id], image_id))[:number]
