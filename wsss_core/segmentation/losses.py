"""The losses of a segmenter."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.config.segmentation import Segmenter
from wsss_core.datasets.label_values import ignored_value
from wsss_core.jobs.devices import moved
from wsss_core.networks.resizing import resized
from wsss_core.training.distributed import mean_over_processes

BACKGROUND = 0


def segmentation_losses(
    logits: Sequence[Tensor], labels: Tensor, parameters: Segmenter, weights: Tensor | None = None
) -> Tensor:
    """The loss of each of a network's outputs; their sum is minimised.

    Args:
        logits: from ``SegmentationNetwork.all_logits``, (B, K + 1, h_i, w_i).
        labels: (B, H, W) integers, 0 background, 1..K; ``ignored_value(K)`` (255 up to 254 classes) is ignored.
        parameters: ``loss`` and ``compared_at``.
        weights: (B,) float, >= 0: the weight of each image's pixels in :func:`weighted_mean`; 1 by default.

    Returns:
        (len(logits),) float32 or float64, >= 0; 0 without labelled pixels.
    """
    loss = balanced_cross_entropy if parameters.loss == "balanced" else cross_entropy
    return torch.stack([loss(*_brought_together(part, labels, parameters.compared_at), weights) for part in logits])


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy over the labelled pixels, of the batches of all processes together.

    Args:
        logits: (B, K + 1, h, w).
        labels: (B, h, w) int64; ``ignored_value(K)`` is ignored.
        weights: (B,) of the images; 1 by default.

    Returns:
        The :func:`weighted_mean` over labelled pixels; 0 if there are none.
    """
    ignored = ignored_value(logits.shape[1] - 1)
    each = functional.cross_entropy(logits, labels, ignore_index=ignored, reduction="none")
    return weighted_mean(each, labels != ignored, weights)


def balanced_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy with separate means over background and objects (as in OC-CSE's and AEFT's segmenters).

    Args:
        logits: (B, K + 1, h, w).
        labels: (B, h, w) int64; ``ignored_value(K)`` is ignored.
        weights: (B,) of the images; 1 by default.

    Returns:
        The mean of two :func:`weighted_mean`: over pixels of the background and over pixels of objects, each 0 if there
        are none.
    """
    ignored = ignored_value(logits.shape[1] - 1)
    each = functional.cross_entropy(logits, labels, ignore_index=ignored, reduction="none")
    background = labels == BACKGROUND
    objects = (labels != ignored) & ~background
    return (weighted_mean(each, background, weights) + weighted_mean(each, objects, weights)) / 2


def weighted_mean(each: Tensor, where: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over some pixels of value times weight, over the batches of all processes together.

    The sum is divided by the number of pixels, not by the sum of weights: otherwise a weight that all pixels of a batch
    share would cancel out.

    Args:
        each: (B, h, w) float.
        where: (B, h, w) bool, the pixels to count.
        weights: (B,) the weight of each image's pixels, >= 0; 1 by default.

    Returns:
        The sum of weighted values divided by the number of pixels with a weight above 0, 0-dimensional; 0 if there are
        none.
    """
    amounts = where.to(each.dtype) if weights is None else where * weights.to(each.dtype)[:, None, None]
    # In float64: a float32 count is exact only up to 16 million, and is divided by the number of processes.
    number = mean_over_processes((amounts > 0).sum(dtype=torch.float64))
    # Without any pixel in any process, 0 is divided by 1.
    return (each * amounts).sum() / torch.where(number > 0, number, 1).to(each.dtype)


def resized_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize labels by nearest neighbours, exactly like Pillow.

    torch's own ``nearest`` uses corners instead of centres, and its ``nearest-exact`` computes positions in float32.
    The authors resize each image with Pillow; here only the indices are computed.

    Args:
        labels: (B, H, W), any dtype.
        size: height and width of the result.

    Returns:
        (B, *size), same dtype.
    """
    rows, columns = (
        moved(torch.from_numpy(_nearest(length, wanted)), labels.device)
        for length, wanted in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows[:, None], columns]


def _brought_together(logits: Tensor, labels: Tensor, at: str) -> tuple[Tensor, Tensor]:
    """Scores (at least float32) and labels (int64), resized to the same size."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if at == "scores":
        return logits, resized_labels(labels, (logits.shape[2], logits.shape[3])).long()
    return resized(logits, labels.shape[1:]), labels.long()


def _nearest(length: int, wanted: int) -> np.ndarray:
    """Indices (wanted,) int64 of the pixels that Pillow's nearest filter chooses out of ``length``.

    Steps are added up in float64 like in Pillow, because the rounding decides between two pixels.
    """
    steps = np.full(wanted, length / wanted)
    steps[0] /= 2  # to the middle of the first pixel
    return np.add.accumulate(steps).astype(np.int64).clip(max=length - 1)
