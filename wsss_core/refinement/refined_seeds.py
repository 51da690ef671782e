"""Stage `refined_seeds`: makes seeds after a dense CRF, PAR or PAMR, for scoring."""

from functools import partial
from pathlib import Path

from wsss_core.config.averaging import Averaging
from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.run import Run
from wsss_core.refinement.confident_labels import refined_seed
from wsss_core.refinement.label_maps_of_cams import write_label_maps_of_cams
from wsss_core.refinement.refined_scores import place_of


def refine_seeds(
    background: BackgroundScore,
    refinement: Crf | Averaging | None,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    manifest_csv: Path,
    run: Run = Run(),
) -> None:
    """Write the refined seed of every image; a killed call is resumed.

    Args:
        background: the background's score.
        refinement: its constants; None for no refinement.
        index_shard: the images.
        cams: class maps of at least these images.
        manifest_csv: the manifest to write; the label maps (see ``refined_seed``) are next to it.
        run: how to run it; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: an image cannot be read, does not fit its maps, or its worker died.
    """
    device, processes = place_of(refinement, run)
    make = partial(refined_seed, background=background, refinement=refinement, device=device)
    write_label_maps_of_cams(index_shard, cams, make, manifest_csv, run, "refining seeds", processes)
