"""The pseudo labels of one image.

Separate from the code that processes a data set, so that a worker process does not import torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss_core.config.averaging import Averaging, Pamr
from wsss_core.config.background import BackgroundScore, Saliency
from wsss_core.config.crf import Crf
from wsss_core.config.refinement import PseudoLabels
from wsss_core.datasets.label_values import ignored_in
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader, ImageCams
from wsss_core.refinement.class_thresholds import above_class_thresholds
from wsss_core.refinement.confident_labels import label_values, read_fitting_image
from wsss_core.refinement.crf import with_background
from wsss_core.refinement.refined_scores import refiner_of
from wsss_core.refinement.saliency_scores import read_fitting_saliency, saliency_scores

if TYPE_CHECKING:
    import torch


def stored_pseudo_label_map(
    image_path: Path,
    image_id: str,
    saliency_map: Path | None,
    stored: CamStoreReader,
    background: BackgroundScore | Saliency | None,
    parameters: PseudoLabels,
    device: "torch.device | str" = "cpu",
) -> np.ndarray:
    """Label the pixels of an image with its maps in a store; otherwise as :func:`pseudo_label_map`.

    Raises:
        UserError: also if the store lacks the maps, or the background.
    """
    maps = stored.read(image_id)
    if background is None and maps.background is None:
        raise UserError(f"the maps of image '{image_id}' have no background from the walk; make them again")
    wanted = (parameters.refinement, parameters.unsure_below)
    return pseudo_label_map(image_path, maps, background, *wanted, saliency_map, device, divided=parameters.divided)


def pseudo_label_map(
    image_path: Path,
    maps: ImageCams,
    background: BackgroundScore | Saliency | None,
    refinement: Crf | Averaging | None,
    unsure_below: float | None = None,
    saliency_map: Path | None = None,
    device: "torch.device | str" = "cpu",
    divided: bool = True,
) -> np.ndarray:
    """Label the pixels of an image.

    Args:
        image_path: the image file.
        maps: its class maps.
        background: the background's score for the maps divided by their largest value, as in IRN's
            ``step/make_sem_seg_labels.py``, or how these are joined with a saliency map; None if ``maps`` have a
            background from the walk, as in AffinityNet's ``infer_aff.py``, where nothing is divided.
        refinement: constants of a CRF, PAR or PAMR for the scores; None for no refinement. PAMR's may have thresholds
            of each class: pixels above none or several get 255.
        unsure_below: pixels get 255 if their label's probability (with a CRF) or share of all scores is lower; None for
            no limit.
        saliency_map: the image's saliency map, only for that kind of background.
        device: where PAR and PAMR compute.
        divided: divide the maps by their largest value, if they have no background from the walk; otherwise they are
            used unchanged, as in CLIP-ES's ``eval_cam_with_crf.py``.

    Returns:
        uint8 (H, W): 0 background, class index + 1, or 255 (unsure).

    Raises:
        UserError: the image or the saliency map cannot be read, or does not have the maps' size.
        ValueError: ``background`` is None, but ``maps`` have none; or it needs a saliency map, but there is none.
    """
    class_maps = maps.full_size()
    image = read_fitting_image(image_path, class_maps)
    if len(maps.classes) == 0:
        return np.zeros(image.shape[:2], dtype=np.uint8)
    saliency = None if saliency_map is None else read_fitting_saliency(saliency_map, *image.shape[:2])
    scores = pseudo_label_scores(maps, background, saliency, divided)
    if refinement is not None:
        scores = refiner_of(image, len(scores), refinement, device).infer(np.clip(scores, 0, 1))
    labels = label_values(maps.classes)[scores.argmax(axis=0)]
    if isinstance(refinement, Pamr) and refinement.class_thresholds is not None:
        # The only label above its threshold need not be the one with the highest score.
        above = above_class_thresholds(scores, refinement.class_thresholds)
        labels = label_values(maps.classes)[above.argmax(axis=0)]
        labels[~above.any(axis=0)] = ignored_in(labels)
    if unsure_below is not None:
        labels[scores.max(axis=0) < unsure_below * scores.sum(axis=0)] = ignored_in(labels)
    return labels


def pseudo_label_scores(
    maps: ImageCams,
    background: BackgroundScore | Saliency | None,
    saliency: np.ndarray | None = None,
    divided: bool = True,
) -> np.ndarray:
    """Scores of the background and of each class: float32 (K + 1, H, W).

    Arguments as above; ``saliency`` is float (H, W), from 0 to 1.
    """
    class_maps = maps.full_size()
    if isinstance(background, Saliency):
        if saliency is None:
            raise ValueError(f"the background of image '{maps.image_id}' needs its saliency map")
        return saliency_scores(divided_by_largest(class_maps), saliency, background.attention_weight)
    if background is not None:
        return with_background(divided_by_largest(class_maps) if divided else class_maps, background)
    walked = maps.full_size_background()
    if walked is None:
        raise ValueError(f"the maps of image '{maps.image_id}' have no background")
    return np.concatenate([walked[None], class_maps])


def divided_by_largest(maps: np.ndarray) -> np.ndarray:
    """Maps divided by the largest value of all of them, so that a background score means the same in all images.

    Args:
        maps: float (K, H, W), values >= 0.

    Returns:
        float (K, H, W), values in [0, 1]; ``maps`` unchanged if all values are 0.
    """
    largest = maps.max(initial=0)
    return maps / largest if largest > 0 else maps
