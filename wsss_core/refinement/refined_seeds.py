"""Stage `refined_seeds`: seeds after a dense CRF, which are scored."""

from functools import partial
from pathlib import Path

from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.datasets.index import DatasetIndex
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.run import Run
from wsss_core.refinement.confident_labels import refined_seed
from wsss_core.refinement.label_maps_of_cams import write_label_maps_of_cams


def refine_seeds(
    background: BackgroundScore,
    crf: Crf,
    index_shard: DatasetIndex,
    cams: CamStoreReader,
    manifest_csv: Path,
    run: Run = Run(),
) -> None:
    """Write the refined seed of every image; a killed call goes on where it was.

    Args:
        background: the background's score.
        crf: constants of the CRF.
        index_shard: the images.
        cams: class maps of at least these images.
        manifest_csv: the manifest to make; the label maps (see ``refined_seed``) lie beside it.
        run: how it is run; ``inputs`` are those of the whole work, for resuming.

    Raises:
        UserError: an image cannot be read, does not fit its maps, or its worker died.
    """
    make = partial(refined_seed, background=background, crf=crf)
    write_label_maps_of_cams(index_shard, cams, make, manifest_csv, run, "refining seeds")
