"""Reduces label maps to a grid of cells, with one label for each cell."""

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.datasets.palette import IGNORED


def middle_labels(labels: Tensor, stride: int) -> Tensor:
    """The label at the middle of each cell, like Pillow's nearest neighbours (irn ``voc12/dataloader``).

    Args:
        labels: int64 (H, W).
        stride: pixels of a cell, in both directions.

    Returns:
        int64 (ceil(H / stride), ceil(W / stride)); if the middle of a last cell is beyond the map, the label of the
        map's last pixel.
    """
    rows, columns = ((torch.arange(0, side, stride) + stride // 2).clamp(max=side - 1) for side in labels.shape)
    return labels[rows[:, None], columns]


def majority_labels(labels: Tensor, stride: int) -> Tensor:
    """The label that more than half of a cell's pixels have.

    AffinityNet's code averages the scores of its CRFs over the pixels of a cell, and takes the largest. Label maps have
    no scores, so here a cell gets a label only if most of its pixels have it.

    Args:
        labels: int64 (H, W), values from 0 to 255.
        stride: pixels of a cell, in both directions.

    Returns:
        int64 (ceil(H / stride), ceil(W / stride)); 255 if no label, or 255 itself, has more than half of the cell's
        stride * stride pixels. Pixels of a last cell beyond the map count as 255.
    """
    height, width = labels.shape
    padded = functional.pad(labels, (0, -width % stride, 0, -height % stride), value=IGNORED)
    rows, columns = (side // stride for side in padded.shape)
    cells = padded.view(rows, stride, columns, stride).transpose(1, 2).reshape(rows, columns, -1)
    # After sorting, a label with more than half of the pixels includes the middle one.
    candidates = cells.sort(dim=-1).values[..., stride * stride // 2]
    shares = (cells == candidates[..., None]).sum(dim=-1)
    return torch.where(2 * shares > stride * stride, candidates, IGNORED)
