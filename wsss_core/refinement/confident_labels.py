"""Confident label maps and refined seeds of single images.

Separate from the code that processes a data set, so that a worker process does not import torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss_core.config.averaging import Averaging
from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.config.refinement import AffinityLabels
from wsss_core.datasets.images import read_image
from wsss_core.datasets.label_values import ignored_in, label_type
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.refinement.crf import with_background
from wsss_core.refinement.refined_scores import refiner_of

if TYPE_CHECKING:
    import torch


def label_map_of_stored_cams(
    image_path: Path,
    image_id: str,
    cams: CamStoreReader,
    make: Callable[[Path, np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """The result of ``make`` for an image's file, and its classes (K,) and class maps (K, H, W) in a store.

    Raises:
        UserError: the store does not have the image, or ``make`` raised it.
    """
    maps = cams.read(image_id)
    return make(image_path, maps.classes, maps.full_size())


def confident_label_map(
    image_path: Path,
    classes: np.ndarray,
    class_maps: np.ndarray,
    parameters: AffinityLabels,
    seed_threshold: float | None = None,
    device: "torch.device | str" = "cpu",
) -> np.ndarray:
    """Label the pixels that are surely an object or surely background.

    One CRF gets a strong background (``parameters.foreground``): if an object still wins, its class is sure. Another
    gets a weak one (``parameters.background``): if the background still wins, it is sure. With the settings' defaults,
    this is IRN's (and AdvCAM's) ``step/cam_to_ir_label.py``, and the rule of AffinityNet's ``voc12/data.py``. With PAR
    in place of the CRF, it is AFA's and ToCo's ``utils/camutils.py``.

    Args:
        image_path: the image file.
        classes: int (K,), indices of the image's classes in the data set.
        class_maps: (K, H, W), values in [0, 1].
        parameters: background scores, what to do if both are sure, and the refinement's constants.
        seed_threshold: the CAMs' threshold, for background scores that are multiples of it.
        device: where PAR and PAMR compute.

    Returns:
        uint8 (H, W): 0 background, class index + 1, or 255 (unsure).

    Raises:
        UserError: the image cannot be read, or does not have the maps' size.
    """
    image = read_fitting_image(image_path, class_maps)
    refiner = refiner_of(image, len(classes) + 1, parameters.refinement, device)

    def winners(background: BackgroundScore) -> np.ndarray:
        return refiner.infer(with_background(class_maps, background.resolved(seed_threshold))).argmax(axis=0)

    objects = winners(parameters.foreground)
    surely_background = winners(parameters.background) == 0
    if parameters.conflicts == "object":
        surely_background &= objects == 0
    labels = label_values(classes)[objects]
    labels[objects == 0] = ignored_in(labels)
    labels[surely_background] = 0
    return labels


def refined_seed(
    image_path: Path,
    classes: np.ndarray,
    class_maps: np.ndarray,
    background: BackgroundScore,
    refinement: Crf | Averaging | None,
    device: "torch.device | str" = "cpu",
) -> np.ndarray:
    """The seed after a CRF, PAR or PAMR.

    Args:
        image_path: the image file.
        classes: int (K,), indices of the image's classes in the data set.
        class_maps: (K, H, W), values in [0, 1].
        background: the background's score.
        refinement: its constants; None for no refinement.
        device: where PAR and PAMR compute.

    Returns:
        uint8 (H, W): 0 background, or class index + 1.

    Raises:
        UserError: the image cannot be read, or does not have the maps' size.
    """
    image = read_fitting_image(image_path, class_maps)
    refiner = refiner_of(image, len(classes) + 1, refinement, device)
    return label_values(classes)[refiner.infer(with_background(class_maps, background)).argmax(axis=0)]


def label_values(classes: np.ndarray) -> np.ndarray:
    """The values in label maps for the values of index maps (0 background, k + 1 the k-th map).

    Args:
        classes: int (K,), indices of classes in the data set.

    Returns:
        (K + 1,): uint8, or uint16 if a value does not fit. So maps of one data set may have either dtype, which says
        what their values mean (see :mod:`wsss_core.datasets.label_values`).
    """
    values = np.concatenate([[0], np.asarray(classes, dtype=np.int64) + 1])
    return values.astype(label_type(int(values.max())))


def check_size(image_path: Path, image: np.ndarray, height: int, width: int) -> None:
    """Check that an image (H, W, 3) has the size for which its class maps were made, pixels.

    Raises:
        UserError: it does not.
    """
    if image.shape[:2] != (height, width):
        raise UserError(
            f"{image_path}: the image is {image.shape[0]} x {image.shape[1]} pixels, its class maps "
            f"were made for {height} x {width}; the image has changed since, so make the data set's "
            "index and the maps again"
        )


def read_fitting_image(image_path: Path, class_maps: np.ndarray) -> np.ndarray:
    """Read an image, uint8 (H, W, 3), and check that it has the size of its class maps (K, H, W).

    Raises:
        UserError: it cannot be read, or has another size.
    """
    image = read_image(image_path)
    check_size(image_path, image, *class_maps.shape[1:])
    return image
