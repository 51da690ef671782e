"""Precision of a network's output when it computes in bfloat16 (autocast)."""

import torch
from torch import Tensor


def single_precision(scores: Tensor) -> Tensor:
    """A network's last output as float32, if it has fewer bits; float64 does not change.

    bfloat16 has 8 significant bits: enough inside a network, but not for means, distances and losses of its output.
    """
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
