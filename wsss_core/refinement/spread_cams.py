"""Stage `walked_cams`: spreads class maps along affinities, and writes them as HDF5."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.config.extensions import load_source
from wsss_core.config.parameters import settings_class
from wsss_core.config.sections import SECTIONS
from wsss_core.config.spreading import Spreading
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.cam_store import CamStoreReader, ImageCams
from wsss_core.inference.cam_blocks import BLOCK_IMAGES, Blocks, Drawn, write_cams_in_blocks
from wsss_core.jobs.numerics import device_for
from wsss_core.jobs.read_ahead import ReadAhead
from wsss_core.jobs.run import Run
from wsss_core.refinement.affinity_method import SpreadingMethod, load_affinity, spreading_method
from wsss_core.refinement.confident_labels import check_size


def spread_cams(
    walk: Spreading,
    walked_alpha: float | None,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    affinity_weights: Path | None,
    shard_file: Path,
    run: Run = Run(),
    method: str | None = None,
) -> None:
    """Write a shard's class maps after the walk, on the affinity grid; a killed run continues after its last block.

    Args:
        walk: the method's settings for spreading maps.
        walked_alpha: also spread a background ``(1 - largest class value) ** walked_alpha``; None for no background.
        index_shard: the shard's images.
        cams: class maps of at least these images.
        affinity_weights: file of an affinity network of any method; for a method without training, of the network that
            it uses, if any.
        shard_file: the HDF5 file to write.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.
        method: its name in the configuration; by default the name in the file of weights.

    Raises:
        UserError: the weights are not an affinity network's or belong to another method than the walk's settings, the
            maps are for other classes, or an image cannot be read or does not fit its maps.
    """
    cams.check_classes(index_shard.classes)
    device = device_for(run)
    if method is None:
        assert affinity_weights is not None
        spreading: SpreadingMethod = load_affinity(affinity_weights, device)
    else:
        spreading = spreading_method(method, walk, affinity_weights, device)
    image_ids, paths = index_shard.image_ids, index_shard.image_paths

    def read(position: int) -> tuple[np.ndarray, ImageCams]:
        image, maps = read_image(paths[position]), cams.read(image_ids[position])
        check_size(paths[position], image, maps.height, maps.width)
        return image, maps

    def draw(blocks: Blocks) -> Drawn:
        for block in blocks:
            for position in block:
                image, maps = images(position)
                yield spreading.spread(image, maps, walk, walked_alpha)

    with ReadAhead(read, range(len(image_ids)), run.threads, max(4, run.threads)) as images:
        write_cams_in_blocks(
            shard_file,
            index_shard,
            draw,
            run,
            "float32",  # maps are not normalised, so small differences matter
            spreading.stride,
            "spreading class maps",
            BLOCK_IMAGES,
        )


def walk_settings(parameters: Mapping[str, Any]) -> Spreading:
    """The settings of the walk of an artifact of this stage, as an object of the method's class.

    Args:
        parameters: the artifact's: ``method``, ``walk``, and ``extension`` if the method comes from one.

    Raises:
        UserError: the extension is missing or has changed.
    """
    load_source(parameters)
    kind = SECTIONS["affinities"].kind(parameters["method"])
    settings = settings_class(kind.model_fields["walk"].annotation)
    assert settings is not None and issubclass(settings, Spreading)
    return settings(**parameters["walk"])
