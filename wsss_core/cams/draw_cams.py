"""Draws class maps of one image, for users' programs; the workflow draws those of a data set (``generate_cams``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss_core.cams.methods import CAM_METHODS
from wsss_core.config.cams import Cams, MultiscaleCams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.networks.classifier import ClassMapClassifier

DEFAULT = MultiscaleCams(classifier="", scales=(1.0,))
"""The plain CAM, at the image's own size."""


def draw_cams(
    classifier: ClassMapClassifier,
    image: np.ndarray | Path | str,
    classes: Sequence[str] | None = None,
    settings: Cams = DEFAULT,
) -> ImageCams:
    """Draw the class maps of one image.

    Args:
        classifier: from :func:`wsss_core.load_classifier`, on its device.
        image: (H, W, 3) uint8 RGB, or an image file.
        classes: names of the classes to draw; by default those that the classifier finds in the image (logit of 0 or
            more), and at least the most likely one.
        settings: the CAM method and its settings.

    Returns:
        The maps, on the host; a notebook shows them as pictures.

    Raises:
        UserError: the image cannot be read, the classifier does not know a class, or the settings have
            ``balance_classes``, which needs the maps of many images.
    """
    if settings.balance_classes:
        raise UserError(
            "'balance_classes' needs the maps of all training images: leave it out to draw one image's, and raise "
            "them to the powers in the experiment's cams/powers.json"
        )
    pixels = image if isinstance(image, np.ndarray) else read_image(image)
    chosen = _found(classifier, pixels) if classes is None else _positions(classifier, classes)
    method = CAM_METHODS.find(settings.method)  # type: ignore[attr-defined]
    cam, high_res = method(classifier, pixels, chosen, settings).normalised()
    return ImageCams(
        image_id="" if isinstance(image, np.ndarray) else Path(image).stem,
        classes=np.array(chosen, np.int16),
        cam=cam.float().cpu().numpy(),
        high_res=None if high_res is None else high_res.float().cpu().numpy(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        class_names=tuple(classifier.classes),
    )


def _found(classifier: ClassMapClassifier, image: np.ndarray) -> list[int]:
    weight: Any = next(classifier.parameters())
    with torch.inference_mode():
        logits = classifier(normalise(image)[None].to(weight))[0]
    return torch.nonzero((logits >= 0) | (logits == logits.max())).flatten().tolist()


def _positions(classifier: ClassMapClassifier, classes: Sequence[str]) -> list[int]:
    unknown = [name for name in classes if name not in classifier.classes]
    if unknown:
        known = ", ".join(classifier.classes)
        raise UserError(f"the classifier does not know the class '{unknown[0]}'; it knows {known}")
    return sorted(classifier.classes.index(name) for name in classes)
