"""Scores of one image, refined by what the settings name: a dense CRF, PAR, PAMR, or nothing.

Torch is imported only for PAR and PAMR, so that worker processes with a CRF start without it.
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
    """What was set up for an image, and refines any number of its score maps."""

    def infer(self, scores: np.ndarray) -> np.ndarray:
        """Refined scores (L, H, W) of scores (L, H, W), background first."""
        ...


class Unrefined:
    """Leaves scores as they are."""

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
        refinement: constants of a CRF, PAR or PAMR; None refines nothing.
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
    """Where a refinement computes: its device, and how many worker processes share the images.

    PAR and PAMR compute in the job's own process, on a GPU, which is set up for it, or with all its threads.

    Raises:
        UserError: ``run.device`` is ``cuda`` and there is none.
    """
    if not isinstance(refinement, Averaging):
        return "cpu", run.threads
    from wsss_core.jobs.numerics import device_for

    return device_for(run), 1
