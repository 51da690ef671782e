"""Stage `affinity_labels`: makes the label maps for training affinity networks."""

from functools import partial
from pathlib import Path

from wsss_core.config.refinement import AffinityLabels
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.run import Run
from wsss_core.refinement.confident_labels import confident_label_map
from wsss_core.refinement.label_maps_of_cams import write_label_maps_of_cams
from wsss_core.refinement.refined_scores import place_of


def make_affinity_labels(
    parameters: AffinityLabels,
    seed_threshold: float | None,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    manifest_csv: Path,
    run: Run = Run(),
) -> None:
    """Write the confident label map of every image; a killed call is resumed.

    Only the classes of an image's own labels can appear in its map.

    Args:
        parameters: background scores and the refinement's constants.
        seed_threshold: the CAMs' threshold, for background scores that are multiples of it; in (0, 1).
        index_shard: the images.
        cams: class maps of at least these images.
        manifest_csv: the manifest to write; the maps (see ``confident_label_map``) are next to it.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: an image cannot be read, does not fit its maps, or its worker died.
    """
    device, processes = place_of(parameters.refinement, run)
    make = partial(confident_label_map, parameters=parameters, seed_threshold=seed_threshold, device=device)
    write_label_maps_of_cams(index_shard, cams, make, manifest_csv, run, "labelling confident pixels", processes)
