"""Stage `cams`: the class maps of a shard of images, in HDF5."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_core.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.cams.map_sizes import empty_maps
from wsss_core.cams.methods import find_cam_method
from wsss_core.config.cams import Cams
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.devices import choose_device
from wsss_core.errors import UserError
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.progress import Progress
from wsss_core.resume import PartialWork

BLOCK_IMAGES = 32
"""Images that a killed job loses at most."""

log = logging.getLogger(__name__)


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
    partial = PartialWork(shard_file.parent.parent, shard_file.stem, inputs)
    if partial.restore(shard_file):
        return
    classifier = load_classifier(classifier_weights, choose_device(device))
    if parameters.arithmetic == "float64":
        classifier = classifier.double()
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

    starts = range(0, len(index), BLOCK_IMAGES)
    blocks = [partial.path(f"block-{start:08d}.h5") for start in starts]
    sizes = [min(BLOCK_IMAGES, len(index) - start) for start in starts]
    done = sum(size for size, block in zip(sizes, blocks, strict=True) if block.exists())
    if done:
        log.info("%s: continuing after %d images", shard_file.name, done)
    counter = Progress(f"class maps {shard_file.stem}", len(index), done=done)

    def counted(positions: Iterable[int]) -> Iterable[ImageCams]:
        for position in positions:
            yield image_cams(position)
            counter.advance()

    for start, size, block in zip(starts, sizes, blocks, strict=True):
        if not block.exists():
            images = counted(range(start, start + size))
            write_cam_store(block, index.classes, {}, images, parameters.precision)
    counter.close()
    try:
        reader = CamStoreReader(blocks)
    except UserError:
        # Another job may have finished this very shard, and removed the blocks.
        if shard_file.exists() or partial.restore(shard_file):
            return
        raise
    with reader:
        images = (reader.read(image_id) for image_id in image_ids)
        write_cam_store(shard_file, index.classes, provenance, images, parameters.precision)
    partial.finish(shard_file)


def _array(maps: Tensor) -> np.ndarray:
    return maps.float().cpu().numpy()
