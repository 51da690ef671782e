"""Computes the trunk of a classifier in bfloat16, and everything before and after it in float32.

bfloat16 has float32's range and 8 significant bits. GPUs since NVIDIA's Ampere, and processors with AVX512-BF16 or
AMX, multiply such numbers several times as fast. Weights are cast once; autocast would cast fixed weights in every
pass, which adds a kernel to each convolution. The images and all results from the trunk's features (class maps,
scores, goals) stay float32; docs/appendix/performance.md has the error.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wsss_core.networks.fused_blocks import fuse_blocks


class Bfloat16Trunk(nn.Module):
    """A trunk whose convolutions and linear layers compute in bfloat16; input images and last features are float32.

    Other layers with weights compute in float32 (layer and group normalisation), or take bfloat16 with float32 weights
    (batch normalisation).
    """

    def __init__(self, trunk: nn.Module) -> None:
        """Use a trunk, and change it in place.

        Args:
            trunk: in evaluation mode, on its device, with float32 weights without gradients.
        """
        super().__init__()
        for part in trunk.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.to(torch.bfloat16).register_forward_pre_hook(partial(_cast, dtype=torch.bfloat16))
            elif _is_another_layer(part):
                part.register_forward_pre_hook(partial(_cast, dtype=torch.float32))
        # Not a submodule: code that reads the dtype of the classifier's first weight has to find float32.
        self._trunk = (fuse_blocks(trunk.to(memory_format=torch.channels_last)),)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The trunk's feature maps (B, C_i, h_i, w_i) for images (B, 3, H, W); the last one is float32.

        The others are large and not used for class maps, so they are not converted.
        """
        *shallow, last = self._trunk[0](images)
        return [*shallow, last.float()]


def with_bfloat16_trunk(classifier: Any) -> Any:
    """Let a classifier's trunk compute in bfloat16, in place.

    Args:
        classifier: its ``trunk`` is suitable for :class:`Bfloat16Trunk`.

    Returns:
        The classifier.
    """
    classifier.trunk = Bfloat16Trunk(classifier.trunk)
    return classifier


def _is_another_layer(part: nn.Module) -> bool:
    """Whether a part has weights and its own parts have none; except for batch normalisation, which can mix dtypes."""
    if isinstance(part, nn.BatchNorm2d):
        return False
    weights = list(part.parameters())
    return bool(weights) and len(weights) == len(list(part.parameters(recurse=False)))


def _cast(layer: nn.Module, given: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The layer's input in its own dtype, whatever the dtype of the layer before."""
    del layer
    return tuple(tensor.to(dtype) for tensor in given)
