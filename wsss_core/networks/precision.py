"""What a network computes in bfloat16 (autocast), and what not."""

import torch
from torch import Tensor


def single_precision(scores: Tensor) -> Tensor:
    """A network's last output as float32, if it is in fewer bits; float64 stays.

    bfloat16 has 8 significant bits: enough inside a network, but means, distances and losses of its output are to
    be taken with more.
    """
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
