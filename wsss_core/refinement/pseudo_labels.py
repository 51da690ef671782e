"""Stage `pseudo_labels`: class maps, usually after a walk along affinities, become one label per pixel."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.config.background import BackgroundScore, Saliency
from wsss_core.config.refinement import PseudoLabels
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.run import Run
from wsss_core.refinement.pseudo_label_map import stored_pseudo_label_map


def make_pseudo_labels(
    parameters: PseudoLabels,
    background: BackgroundScore | Saliency | None,
    index_shard: DatasetIndex,
    maps: CamStoreReader,
    manifest_csv: Path,
    run: Run = Run(),
    saliency: Mapping[str, Path] | None = None,
) -> None:
    """Write a label map for every image; a killed call goes on where it was.

    Only the classes of an image's own labels can appear in its map. An image without classes is
    all background.

    Args:
        parameters: the CRF if there is one, and what is unsure.
        background: the background's score, or how the maps are joined with saliency maps; None if the maps hold a
            background that walked with them.
        index_shard: the images.
        maps: class maps of at least these images: walked ones (``spread_cams``), or of a CAM method.
        manifest_csv: the manifest to make; the maps lie beside it (see ``write_label_maps``).
        run: how it is run; ``inputs`` are those of the whole work, for resuming.
        saliency: the saliency maps by image id, for a background that needs them.

    Raises:
        UserError: an image or saliency map cannot be read or does not fit the class maps, its worker died, the maps are
            of other classes or have no background where they should, an image has no saliency map, or a CRF is wanted and pydensecrf is missing.
    """
    maps.check_classes(index_shard.classes)
    image_ids, paths = index_shard.image_ids, index_shard.image_paths
    make = partial(
        stored_pseudo_label_map,
        stored=maps,
        background=background,
        crf=parameters.crf,
        unsure_below=parameters.unsure_below,
    )
    saliency_maps: Mapping[str, Path] | None = saliency if isinstance(background, Saliency) else None

    def arguments(at: int) -> tuple[Path, str, Path | None]:
        image_id = image_ids[at]
        if saliency_maps is not None and image_id not in saliency_maps:
            raise UserError(f"image '{image_id}' has no saliency map; check the saliency maps again")
        return paths[at], image_id, None if saliency_maps is None else saliency_maps[image_id]

    pool: ImagePool[np.ndarray] = ImagePool(make, arguments, image_ids, run.threads)
    with pool:
        write_label_maps(index_shard, pool, manifest_csv, run.inputs, "making pseudo labels")
