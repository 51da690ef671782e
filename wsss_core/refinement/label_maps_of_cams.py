"""Makes label maps from class maps, image by image, in worker processes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.run import Run
from wsss_core.refinement.confident_labels import label_map_of_stored_cams


def write_label_maps_of_cams(
    index: DatasetIndex,
    cams: CamStoreReader,
    make: Callable[[Path, np.ndarray, np.ndarray], np.ndarray],
    manifest_csv: Path,
    run: Run,
    description: str,
    processes: int | None = None,
) -> None:
    """Make label maps from class maps in worker processes, and write them with ``write_label_maps``.

    Args:
        index: the images.
        cams: class maps of at least these images; each process reads them itself.
        make: a picklable function of an image's file, its classes (K,) and class maps (K, H, W).
        manifest_csv: the manifest to write.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.
        description: for the progress bar and the log.
        processes: the number of processes; None for the number of the job's threads.

    Raises:
        UserError: the maps are for other classes, an image's worker died, or ``make`` raised it.
    """
    cams.check_classes(index.classes)
    image_ids, paths = index.image_ids, index.image_paths
    made = partial(label_map_of_stored_cams, cams=cams, make=make)
    pool: ImagePool[np.ndarray] = ImagePool(
        made, lambda at: (paths[at], image_ids[at]), image_ids, processes or run.threads
    )
    with pool:
        write_label_maps(index, pool, manifest_csv, run.inputs, description)
