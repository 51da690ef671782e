"""An extension for the tests: a classifier and a CAM method that say when they are at work, and wait when told to.

Each job notes in ``notes/<what>`` that it is in the middle of it. While there is a file ``hold_<what>``, it stays
there; where ``eat_<what>`` names a number of MiB, it takes so much memory. So a test can do harm to a job at a known
moment. What is computed is what the ordinary ones compute.
"""

import json
import os
import time
from pathlib import Path
from typing import Literal

from wsss_core.cams.methods import cam_method
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.config.cams import MultiscaleCams
from wsss_core.config.classifiers import Classifier
from wsss_core.config.extensions import register


def note_and_hold(what: str) -> None:
    """Note, once a process, who is at work; then wait as long as the test says so."""
    noted = Path("notes") / what
    name = f"{os.environ.get('SLURM_JOB_ID', 'local')}-{os.getpid()}"
    if not list(noted.glob(f"{name}.*")):
        noted.mkdir(parents=True, exist_ok=True)
        writing = noted / f"{name}.writing"
        writing.write_text(json.dumps({"gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")}))
        writing.rename(noted / f"{name}.json")
    eaten = b""
    if Path(f"eat_{what}").exists():
        eaten = os.urandom(1 << 20) * int(Path(f"eat_{what}").read_text())
    while Path(f"hold_{what}").exists():
        time.sleep(0.05)
    del eaten


@register("classifiers")
class WatchedClassifier(Classifier):
    """The ordinary classifier."""

    objective: Literal["watched"] = "watched"


class WatchedObjective(OrdinaryObjective, name="watched"):
    """The ordinary loss."""

    def losses(self, images, labels, epoch):
        if epoch == 1:  # the first epoch is done, and can be gone on from
            note_and_hold("training")
        return super().losses(images, labels, epoch)


@register("cams")
class WatchedCams(MultiscaleCams):
    """The ordinary maps."""

    method: Literal["watched"] = "watched"


@cam_method("watched")
def watched_class_maps(classifier, image, class_indices, parameters):
    note_and_hold("maps")
    return multiscale_class_maps(classifier, image, class_indices, parameters)
