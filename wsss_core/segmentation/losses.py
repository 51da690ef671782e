"""What a segmenter's scores are judged by in training."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.config.segmentation import Segmenter
from wsss_core.datasets.palette import IGNORED
from wsss_core.training.distributed import mean_over_processes, number_of_processes

BACKGROUND = 0


def segmentation_losses(logits: Sequence[Tensor], labels: Tensor, parameters: Segmenter) -> Tensor:
    """The loss of each of a network's outputs; their sum is minimised.

    Args:
        logits: of ``SegmentationNetwork.all_logits``, (B, K + 1, h_i, w_i).
        labels: (B, H, W) integers, 0 background, 1..K, 255 is left out.
        parameters: ``loss`` and ``compared_at``.

    Returns:
        (len(logits),) float32 or float64, >= 0: 0 where there are no labelled pixels.
    """
    loss = balanced_cross_entropy if parameters.loss == "balanced" else cross_entropy
    return torch.stack([loss(*_brought_together(part, labels, parameters.compared_at)) for part in logits])


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy over the labelled pixels; of all processes' parts of the batch, if several train.

    Args:
        logits: (B, K + 1, h, w).
        labels: (B, h, w) int64; 255 is left out.

    Returns:
        The mean over labelled pixels; 0 if there are none.
    """
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / _number(labels != IGNORED)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy with the background and the objects averaged apart (as OC-CSE's and AEFT's segmenters have it).

    Args:
        logits: (B, K + 1, h, w).
        labels: (B, h, w) int64; 255 is left out.

    Returns:
        Half the mean over pixels of the background and half that over pixels of objects, each 0 if there are none.
    """
    each = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    background = labels == BACKGROUND
    objects = (labels != IGNORED) & ~background
    return sum((each[where].sum() / _number(where) for where in (background, objects)), each.new_zeros(())) / 2


def resized_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbours, as Pillow picks them.

    torch's own ``nearest`` takes corners instead of centres, and its ``nearest-exact`` computes places in
    float32. The authors go through Pillow image by image; here only the indices are computed.

    Args:
        labels: (B, H, W), any dtype.
        size: height and width of the result.

    Returns:
        (B, *size), same dtype.
    """
    rows, columns = (
        torch.from_numpy(_nearest(length, wanted)).to(labels.device)
        for length, wanted in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows[:, None], columns]


def _brought_together(logits: Tensor, labels: Tensor, at: str) -> tuple[Tensor, Tensor]:
    """Scores, in float32 at least, and labels (int64) of one size."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if at == "scores":
        return logits, resized_labels(labels, (logits.shape[2], logits.shape[3])).long()
    return functional.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False), labels.long()


def _number(where: Tensor) -> Tensor:
    """How many pixels these are, at least 1 in all; of all processes' parts of the batch their mean."""
    return mean_over_processes(where.sum()).clamp(min=1 / number_of_processes())


def _nearest(length: int, wanted: int) -> np.ndarray:
    """Indices (wanted,) int64 of the pixels that Pillow's nearest filter picks out of ``length``.

    Pillow adds up steps in float64; so does this, for its rounding decides where a place falls between
    two pixels.
    """
    steps = np.full(wanted, length / wanted)
    steps[0] /= 2  # to the middle of the first pixel
    return np.add.accumulate(steps).astype(np.int64).clip(max=length - 1)
