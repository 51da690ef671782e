"""Label maps that are made of class maps, image by image, in worker processes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.cam_store import CamStoreReader
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.image_pool import ImagePool


def write_label_maps_of_cams(
    index: DatasetIndex,
    cams: CamStoreReader,
    make: Callable[[Path, np.ndarray, np.ndarray], np.ndarray],
    manifest_csv: Path,
    inputs: Sequence[Path | str],
    threads: int,
    description: str,
) -> None:
    """Make label maps of class maps in worker processes, and write them as ``write_label_maps`` does.

    Args:
        index: the images.
        cams: class maps of at least these images.
        make: a picklable function of an image's file, its classes (K,) and class maps (K, H, W).
        manifest_csv: the manifest to make.
        inputs: the files this is made from.
        threads: worker processes.
        description: for the progress bar and the log.

    Raises:
        UserError: an image's worker died, or ``make`` raised it.
    """
    image_ids, paths = index.image_ids, index.image_paths

    def arguments(position: int) -> tuple[Any, ...]:
        maps = cams.read(image_ids[position])
        return paths[position], maps.classes, maps.full_size()

    pool: ImagePool[np.ndarray] = ImagePool(make, arguments, image_ids, threads)
    with pool:
        write_label_maps(index, pool, manifest_csv, inputs, description)
