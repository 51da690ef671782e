"""Networks that a training uses but does not train, and the memory format of weights."""

from typing import TypeVar

import torch
from torch import nn

from wsss_core.networks.folded import folded_for_inference

Network = TypeVar("Network", bound=nn.Module)


def memory_format(device: torch.device, precision: str) -> torch.memory_format:
    """The memory format with the fastest convolutions.

    This is channels-last on the CPU, and on CUDA for TF32 and bfloat16: tensor cores use it, and cuDNN would otherwise
    convert before and after each convolution. Convolutions in float32 on CUDA do not gain from it.
    """
    return torch.contiguous_format if device.type == "cuda" and precision == "float32" else torch.channels_last


def frozen_copy(network: Network, device: torch.device, precision: str) -> Network:
    """A copy for use within a training: in evaluation mode, without gradients of its weights, in fewer operations.

    Args:
        network: not changed, but moved to the device.
        device: the device of the copy.
        precision: of the training; with ``bfloat16`` the copy is used under autocast.
    """
    copy = folded_for_inference(network.to(device), by_hand=precision != "bfloat16")
    return copy.to(memory_format=memory_format(device, precision))
