"""Label maps brought down to a grid of cells, as a label for each."""

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.datasets.palette import IGNORED


def middle_labels(labels: Tensor, stride: int) -> Tensor:
    """The label at the middle of each cell, as Pillow's nearest neighbours give it (irn ``voc12/dataloader``).

    Args:
        labels: int64 (H, W).
        stride: pixels per cell, each way.

    Returns:
        int64 (ceil(H / stride), ceil(W / stride)); where a last cell reaches beyond the map, the label of the
        map's last pixel if the middle does so, too.
    """
    rows, columns = ((torch.arange(0, side, stride) + stride // 2).clamp(max=side - 1) for side in labels.shape)
    return labels[rows[:, None], columns]


def majority_labels(labels: Tensor, stride: int) -> Tensor:
    """The label that more than half of a cell's pixels have.

    AffinityNet's code averages the scores of its CRFs over the pixels of a cell, and takes the largest. Label maps
    hold no scores, so here a cell is only as sure as most of its pixels are: it gets no label where none prevails.

    Args:
        labels: int64 (H, W), values from 0 to 255.
        stride: pixels per cell, each way.

    Returns:
        int64 (ceil(H / stride), ceil(W / stride)); 255 where no label has more than half of the cell's
        stride * stride pixels, or 255 has. Pixels of a last cell beyond the map count as 255.
    """
    height, width = labels.shape
    padded = functional.pad(labels, (0, -width % stride, 0, -height % stride), value=IGNORED)
    rows, columns = (side // stride for side in padded.shape)
    cells = padded.view(rows, stride, columns, stride).transpose(1, 2).reshape(rows, columns, -1)
    # Sorted, more than half of the pixels cannot miss the middle one.
    candidates = cells.sort(dim=-1).values[..., stride * stride // 2]
    shares = (cells == candidates[..., None]).sum(dim=-1)
    return torch.where(2 * shares > stride * stride, candidates, IGNORED)
