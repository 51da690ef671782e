"""Stage `cams`: the class maps of a shard of images, in HDF5."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_core.cam_blocks import BLOCK_IMAGES, write_cams_in_blocks
from wsss_core.cam_store import ImageCams
from wsss_core.cams.map_sizes import empty_maps
from wsss_core.cams.methods import find_cam_method
from wsss_core.config.cams import Cams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.folded import folded_for_inference

FOLDED = ("advcam", "multiscale")
"""Methods that are given a folded copy of the classifier; others may look at its norms or its weights' gradients."""


def generate_cams(
    parameters: Cams,
    index: DatasetIndex,
    classifier_weights: Path,
    shard_file: Path,
    provenance: Mapping[str, Any],
    inputs: Sequence[Path | str] = (),
    device: str = "auto",
) -> None:
    """Write the class maps of a shard's images; a killed run goes on after its last block.

    Args:
        parameters: the CAM method and its settings.
        index: the shard's images; maps are made of the classes each one is labelled with.
        classifier_weights: file of the classifier.
        shard_file: the HDF5 file to make.
        provenance: recorded in it; the same for every run of the same work.
        inputs: files that the result depends on, for resuming.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: the weights are not a classifier's, or of other classes than the data set's.
    """
    classifier = load_classifier(classifier_weights, choose_device(device))
    if parameters.arithmetic == "float64":
        classifier = classifier.double()
    elif parameters.method in FOLDED:  # type: ignore[attr-defined]
        classifier = folded_for_inference(classifier)
    classifier = classifier.to(memory_format=torch.channels_last)  # convolutions are a sixth faster, also on CPUs
    if classifier.classes != index.classes:
        raise UserError(
            f"{classifier_weights}: the classifier knows the classes {', '.join(classifier.classes)}; "
            f"the data set has {', '.join(index.classes)}"
        )
    class_maps = find_cam_method(parameters.method)  # type: ignore[attr-defined]
    labels, paths, image_ids = index.label_matrix, index.image_paths, index.image_ids

    def image_cams(position: int) -> ImageCams:
        image = read_image(paths[position])
        height, width = image.shape[:2]
        classes = np.flatnonzero(labels[position]).astype(np.int16)
        if len(classes) == 0:
            cam, high_res = empty_maps(height, width, parameters.high_res)
        else:
            cam, high_res = class_maps(classifier, image, classes.tolist(), parameters).normalised()
        kept = None if high_res is None else _array(high_res)
        return ImageCams(image_ids[position], classes, _array(cam), kept, height, width)

    write_cams_in_blocks(
        shard_file, index, image_cams, provenance, inputs, parameters.precision, block_images=BLOCK_IMAGES
    )


def _array(maps: Tensor) -> np.ndarray:
    return maps.float().cpu().numpy()
