"""Stage `pseudo_labels`: turns class maps, usually after a random walk, into one label for each pixel."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from wsss_core.config.background import BackgroundScore, Saliency
from wsss_core.config.refinement import PseudoLabels
from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.label_maps import write_label_maps
from wsss_core.datasets.sam_masks import Size, read_sam_masks
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.image_pool import ImagePool
from wsss_core.jobs.run import Run
from wsss_core.refinement.joined_masks import join_masks
from wsss_core.refinement.pseudo_label_map import stored_pseudo_label_map
from wsss_core.refinement.refined_scores import place_of


def make_pseudo_labels(
    parameters: PseudoLabels,
    background: BackgroundScore | Saliency | None,
    index_shard: DatasetIndex,
    maps: CamStoreReader,
    manifest_csv: Path,
    run: Run = Run(),
    saliency: Mapping[str, Path] | None = None,
    segments: Mapping[str, Path] | None = None,
) -> None:
    """Write a label map for every image; a killed call is resumed.

    Only the classes of an image's own labels can appear in its map. An image without classes is all background.

    Args:
        parameters: the CRF, PAR or PAMR if there is one, which pixels are unsure, and how segment masks are used.
        background: the background's score, or how the maps are joined with saliency maps; None if the maps have a
            background from the walk.
        index_shard: the images.
        maps: class maps of at least these images: after a walk (``spread_cams``), or from a CAM method.
        manifest_csv: the manifest to write; the maps are next to it (see ``write_label_maps``).
        run: how to run it; ``inputs`` are those of the whole work, for resuming.
        saliency: the saliency maps by image id, for a background that needs them.
        segments: with ``parameters.sam_masks``, the folder or file of each image's masks.

    Raises:
        UserError: an image, a saliency map or a segment mask cannot be read or has another size, a worker died, the
            maps are for other classes or lack the background, an image has no saliency map, or a CRF is wanted and
            pydensecrf is missing.
    """
    maps.check_classes(index_shard.classes)
    image_ids, paths = index_shard.image_ids, index_shard.image_paths
    device, processes = place_of(parameters.refinement, run)
    label = partial(stored_pseudo_label_map, stored=maps, background=background, parameters=parameters, device=device)
    saliency_maps = saliency if isinstance(background, Saliency) else None
    if saliency_maps is not None:
        missing = next((image_id for image_id in image_ids if image_id not in saliency_maps), None)
        if missing is not None:
            raise UserError(f"image '{missing}' has no saliency map; check the saliency maps again")

    def inputs(at: int) -> tuple[Path, str, Path | None]:
        return paths[at], image_ids[at], None if saliency_maps is None else saliency_maps[image_ids[at]]

    if parameters.sam_masks is None:
        pool: ImagePool[np.ndarray] = ImagePool(label, inputs, image_ids, processes)
    else:
        sizes, places = index_shard.original().sizes, segments or {}
        joined = partial(joined_label_map, label=label, settings=parameters.sam_masks)
        pool = ImagePool(joined, lambda at: (*inputs(at), places[image_ids[at]], sizes[at]), image_ids, processes)
    with pool:
        write_label_maps(index_shard, pool, manifest_csv, run.inputs, "making pseudo labels")


def joined_label_map(
    image_path: Path,
    image_id: str,
    saliency_map: Path | None,
    segments: Path,
    size: Size,
    label: Callable[[Path, str, Path | None], np.ndarray],
    settings: SamMasks,
) -> np.ndarray:
    """An image's label map, joined with the masks in a folder or file.

    Args:
        image_path: the image file.
        image_id: its id.
        saliency_map: its saliency map, if used.
        segments: the place of its masks.
        size: its height and width in the data set, before it was shrunk.
        label: makes its label map from the image's file, id and saliency map.
        settings: how labels and masks are joined.

    Raises:
        UserError: a mask cannot be read or has another size; or ``label`` raised it.
    """
    labels = label(image_path, image_id, saliency_map)
    small = (labels.shape[0], labels.shape[1])
    return join_masks(labels, read_sam_masks(segments, size, None if small == size else small), settings)
