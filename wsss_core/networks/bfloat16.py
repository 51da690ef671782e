"""The trunk of a classifier computed in bfloat16, with float32 before it and behind it.

bfloat16 has float32's range and 8 significant bits. GPUs since NVIDIA's Ampere, and processors with AVX512-BF16 or
AMX, multiply such numbers several times as fast. Weights are cast once; autocast, which casts fixed weights anew in
every pass, would add a kernel to each convolution. What is made of the trunk's features (class maps, scores, goals)
and the images stay float32; docs/appendix/performance.md has the error.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wsss_core.networks.fused_blocks import fuse_blocks


class Bfloat16Trunk(nn.Module):
    """A trunk whose convolutions and linear layers compute in bfloat16; images come in, and the last features go out,
    as float32.

    Other layers with weights compute in float32 (layer and group normalisation), or take bfloat16 with weights of
    float32 (batch normalisation).
    """

    def __init__(self, trunk: nn.Module) -> None:
        """Take over a trunk, which is changed.

        Args:
            trunk: in evaluation mode, on its device, of float32 weights without gradients.
        """
        super().__init__()
        for part in trunk.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.to(torch.bfloat16).register_forward_pre_hook(partial(_cast, dtype=torch.bfloat16))
            elif _is_another_layer(part):
                part.register_forward_pre_hook(partial(_cast, dtype=torch.float32))
        # Not a submodule: who asks the classifier's first weight for a number format has to find float32.
        self._trunk = (fuse_blocks(trunk.to(memory_format=torch.channels_last)),)

    def forward(self, images: Tensor) -> list[Tensor]:
        """What the trunk makes of images (B, 3, H, W): feature maps (B, C_i, h_i, w_i), the last as float32.

        The others, of which no class map is made, stay as they are: they are large.
        """
        *shallow, last = self._trunk[0](images)
        return [*shallow, last.float()]


def with_bfloat16_trunk(classifier: Any) -> Any:
    """Let a classifier's trunk compute in bfloat16, in place.

    Args:
        classifier: has a ``trunk`` as :class:`Bfloat16Trunk` wants it.

    Returns:
        The classifier.
    """
    classifier.trunk = Bfloat16Trunk(classifier.trunk)
    return classifier


def _is_another_layer(part: nn.Module) -> bool:
    """Whether a part has weights of its own and no parts that have some; batch normalisation, which mixes dtypes by
    itself, aside.
    """
    if isinstance(part, nn.BatchNorm2d):
        return False
    weights = list(part.parameters())
    return bool(weights) and len(weights) == len(list(part.parameters(recurse=False)))


def _cast(layer: nn.Module, given: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The layer's input in its own dtype, whatever the layer before computes in."""
    del layer
    return tuple(tensor.to(dtype) for tensor in given)
