"""The pseudo labels of one image.

Kept apart from what walks over a data set, so that a worker process starts without torch.
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
    """Label the pixels of an image by the maps that a store has of it; else as :func:`pseudo_label_map`.

    Raises:
        UserError: also if the store has none, or no background where it should.
    """
    maps = stored.read(image_id)
    if background is None and maps.background is None:
        raise UserError(f"the maps of image '{image_id}' have no background that walked with them; make them again")
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
        background: the background's score beside the maps divided by their largest value, as in IRN's
            ``step/make_sem_seg_labels.py``, or how these are joined with a saliency map; None if ``maps`` hold a
            background that walked with them, as in AffinityNet's ``infer_aff.py``, where nothing is divided.
        refinement: constants of a CRF, PAR or PAMR on the scores; None for none. PAMR's may have thresholds of each
            class: pixels above none or several get 255.
        unsure_below: pixels whose label's probability (with a CRF) or share of all scores (else)
            is lower get 255; None for none.
        saliency_map: the image's saliency map, for that kind of background only.
        device: where PAR and PAMR compute.
        divided: divide the maps by their largest value, where nothing has walked with them; else they are as they
            are, as in CLIP-ES's ``eval_cam_with_crf.py``.

    Returns:
        uint8 (H, W): 0 background, class index + 1, or 255 (unsure).

    Raises:
        UserError: the image or the saliency map cannot be read, or is not of the maps' size.
        ValueError: ``background`` is None, and ``maps`` have none; or it needs a saliency map, and there is none.
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
        # Where one label alone is above its threshold, it need not be the one with the highest score.
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
    """Maps over the largest value of all of them, so that a background score means the same in all images.

    Args:
        maps: float (K, H, W), values >= 0.

    Returns:
        float (K, H, W), values in [0, 1]; ``maps`` as they are if all is 0.
    """
    largest = maps.max(initial=0)
    return maps / largest if largest > 0 else maps
