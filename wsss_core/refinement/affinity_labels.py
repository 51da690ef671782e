"""Stage `affinity_labels`: what affinity is learned from, and the CRF-refined seed."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.cam_store import CamStoreReader
from wsss_core.config.refinement import AffinityLabels
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.refinement.confident_labels import confident_label_map, refined_seed
from wsss_core.refinement.image_pool import ImagePool


def make_affinity_labels(
    parameters: AffinityLabels,
    seed_threshold: float | None,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    confident_csv: Path,
    refined_csv: Path,
    inputs: Sequence[Path | str] = (),
    threads: int = 1,
) -> None:
    """Write two label maps an image: the confident labels, and the seed after a CRF.

    Only the classes of an image's own labels can appear in its maps. A killed call goes on where
    it was.

    Args:
        parameters: background scores and constants of the CRF.
        seed_threshold: the CAMs' threshold, for background scores that are multiples of it; in (0, 1).
        index_shard: the images.
        cams: class maps of at least these images.
        confident_csv: manifest of the confident label maps (see ``confident_label_map``), which
            lie beside it; written last.
        refined_csv: manifest of the refined seeds (see ``refined_seed``), which lie beside it.
        inputs: the files this is made from.
        threads: worker processes.

    Raises:
        UserError: an image cannot be read, does not fit its maps, or its worker died.
    """
    image_ids, paths = index_shard.image_ids, index_shard.image_paths

    def arguments(position: int) -> tuple[Any, ...]:
        maps = cams.read(image_ids[position])
        return paths[position], maps.classes, maps.full_size()

    background = parameters.refined_seed.resolved(seed_threshold)
    seed = partial(refined_seed, background=background, crf=parameters.crf)
    confident = partial(confident_label_map, parameters=parameters, seed_threshold=seed_threshold)
    for make, manifest, description in (
        (seed, refined_csv, "refining seeds"),
        (confident, confident_csv, "labelling confident pixels"),
    ):
        pool: ImagePool[np.ndarray] = ImagePool(make, arguments, image_ids, threads)
        with pool:
            write_label_maps(index_shard, pool, manifest, inputs, description)
