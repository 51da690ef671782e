"""Confident label maps and CRF-refined seeds of single images.

Kept apart from what walks over a data set, so that a worker process starts without torch.
"""

from pathlib import Path

import numpy as np

from wsss_core.config.refinement import AffinityLabels, BackgroundScore, Crf
from wsss_core.datasets.images import read_image
from wsss_core.datasets.palette import IGNORED
from wsss_core.errors import UserError
from wsss_core.refinement.crf import LABEL_CERTAINTY, DenseCrf, refine, with_background

IRN_CRF = Crf(bilateral_sxy=50, bilateral_srgb=5)
"""Constants of the CRF that finds confident labels in IRN's and AdvCAM's code."""


def confident_label_map(
    image_path: Path, classes: np.ndarray, class_maps: np.ndarray, parameters: AffinityLabels
) -> np.ndarray:
    """Label the pixels that are surely an object or surely background.

    One CRF sees a strong background (``parameters.foreground``): where an object wins even so,
    its class is sure. Another sees a weak one (``parameters.background``): where the background
    wins even so, it is sure. Combined as in IRN's ``cam_to_ir_label``; AffinityNet's code lets the second
    CRF's background also overrule an object of the first, which hardly ever happens.

    Args:
        image_path: the image file.
        classes: int (K,), indices of the data set's classes, of which the image shows these.
        class_maps: (K, H, W), values in [0, 1].
        parameters: background scores and constants of the CRF.

    Returns:
        uint8 (H, W): 0 background, class index + 1, or 255 (unsure).

    Raises:
        UserError: the image cannot be read, or is not of the maps' size.
    """
    image = _read_fitting_image(image_path, class_maps)
    field = DenseCrf(image, len(classes) + 1, parameters.crf)
    foreground = field.infer(with_background(class_maps, parameters.foreground)).argmax(axis=0)
    background = field.infer(with_background(class_maps, parameters.background)).argmax(axis=0)
    return _combined(classes, foreground, background)


def confident_label_map_of_winners(
    image_path: Path,
    classes: np.ndarray,
    class_maps: np.ndarray,
    foreground: float,
    background: float,
    crf: Crf = IRN_CRF,
    certainty: float = LABEL_CERTAINTY,
) -> np.ndarray:
    """Label the sure pixels as :func:`confident_label_map`, by CRFs that see labels instead of scores.

    Before each CRF the largest of the background's score and the class maps wins; the CRF gets to
    know the winner alone. This is IRN's ``step/cam_to_ir_label.py`` to the letter, and AdvCAM's.

    Args:
        image_path: the image file.
        classes: int (K,), indices of the data set's classes, of which the image shows these.
        class_maps: (K, H, W), values in [0, 1].
        foreground: the background's score, in (0, 1), where objects are to be sure: 0.30 in IRN,
            0.35 in AdvCAM.
        background: the same where the background is to be sure: 0.05 in IRN, 0.15 in AdvCAM.
        crf: constants of the CRF.
        certainty: probability that a winner is right.

    Returns:
        uint8 (H, W): 0 background, class index + 1, or 255 (unsure).

    Raises:
        UserError: the image cannot be read, or is not of the maps' size.
    """
    image = _read_fitting_image(image_path, class_maps)
    field = DenseCrf(image, len(classes) + 1, crf)

    def refined(threshold: float) -> np.ndarray:
        scores = with_background(class_maps, BackgroundScore(threshold=threshold, alpha=None))
        return field.infer_from_labels(scores.argmax(axis=0), certainty).argmax(axis=0)

    return _combined(classes, refined(foreground), refined(background))


def refined_seed(
    image_path: Path, classes: np.ndarray, class_maps: np.ndarray, threshold: float, crf: Crf
) -> np.ndarray:
    """The seed after a CRF, with a constant background score.

    Args:
        image_path: the image file.
        classes: int (K,), indices of the data set's classes, of which the image shows these.
        class_maps: (K, H, W), values in [0, 1].
        threshold: the background's score, in (0, 1).
        crf: constants of the CRF.

    Returns:
        uint8 (H, W): 0 background, or class index + 1.

    Raises:
        UserError: the image cannot be read, or is not of the maps' size.
    """
    image = _read_fitting_image(image_path, class_maps)
    winners = refine(image, class_maps, BackgroundScore(threshold=threshold, alpha=None), crf)
    return label_values(classes)[winners]


def label_values(classes: np.ndarray) -> np.ndarray:
    """What index maps (0 background, k + 1 the k-th map) become in label maps: uint8 (K + 1,)."""
    return np.concatenate([[0], np.asarray(classes, dtype=np.int64) + 1]).astype(np.uint8)


def check_size(image_path: Path, image: np.ndarray, height: int, width: int) -> None:
    """See to it that an image (H, W, 3) is of the size its class maps were made for, pixels.

    Raises:
        UserError: it is not.
    """
    if image.shape[:2] != (height, width):
        raise UserError(
            f"{image_path}: the image is {image.shape[0]} x {image.shape[1]} pixels, its class maps "
            f"were made for {height} x {width}; the image has changed since, so make the data set's "
            "index and the maps again"
        )


def _combined(classes: np.ndarray, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
    """An object where the first CRF's winner (H, W) is one, else background where the second's is that, else 255."""
    labels = label_values(classes)[foreground]
    labels[foreground == 0] = np.where(background == 0, 0, IGNORED)[foreground == 0]
    return labels


def _read_fitting_image(image_path: Path, class_maps: np.ndarray) -> np.ndarray:
    image = read_image(image_path)
    check_size(image_path, image, *class_maps.shape[1:])
    return image
