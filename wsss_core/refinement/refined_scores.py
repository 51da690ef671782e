"""Refines scores of one image as the settings say: by a dense CRF, PAR, PAMR, or not at all.

Torch is only imported for PAR and PAMR, so that worker processes with a CRF do not need it.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from wsss_core.config.averaging import Averaging
from wsss_core.config.crf import Crf
from wsss_core.jobs.run import Run
from wsss_core.refinement.crf import DenseCrf

if TYPE_CHECKING:
    import torch


class ScoreRefiner(Protocol):
    """Refines any number of score maps of the image for which it was set up."""

    def infer(self, scores: np.ndarray) -> np.ndarray:
        """Refine scores (L, H, W), background first."""
        ...


class Unrefined:
    """Does not change scores."""

    def infer(self, scores: np.ndarray) -> np.ndarray:
        """The scores themselves."""
        return scores


def refiner_of(
    image: np.ndarray, labels: int, refinement: Crf | Averaging | None, device: "torch.device | str" = "cpu"
) -> ScoreRefiner:
    """Set up a refinement for an image.

    Args:
        image: uint8 (H, W, 3), RGB.
        labels: L, the number of labels, background included.
        refinement: constants of a CRF, PAR or PAMR; None for no refinement.
        device: where PAR and PAMR compute.

    Raises:
        ValueError: the image is not uint8 (H, W, 3) or ``labels`` is below 1.
        UserError: a CRF is wanted and pydensecrf is not installed.
    """
    if refinement is None:
        return Unrefined()
    if isinstance(refinement, Crf):
        return DenseCrf(image, labels, refinement)
    from wsss_core.refinement.local_averaging import AveragedScores

    return AveragedScores(image, refinement, device)


def place_of(refinement: Crf | Averaging | None, run: Run) -> "tuple[torch.device | str, int]":
    """The device of a refinement, and the number of worker processes.

    PAR and PAMR compute in the job's own process, on a GPU (which this sets up) or with all threads.

    Raises:
        UserError: ``run.device`` is ``cuda``, but there is no GPU.
    """
    if not isinstance(refinement, Averaging):
        return "cpu", run.threads
    from wsss_core.jobs.numerics import device_for

    return device_for(run), 1
