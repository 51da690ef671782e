"""Networks that a training uses and does not train, and how weights lie in memory."""

from typing import TypeVar

import torch
from torch import nn

from wsss_core.networks.folded import folded_for_inference

Network = TypeVar("Network", bound=nn.Module)


def memory_format(device: torch.device, precision: str) -> torch.memory_format:
    """The order of a weight's numbers with which convolutions are fastest.

    Channels-last on the CPU, and for TF32 and bfloat16 on CUDA, whose tensor cores are made for it: cuDNN would change
    the order before and after each convolution. Convolutions in float32 on CUDA are not faster by it.
    """
    return torch.contiguous_format if device.type == "cuda" and precision == "float32" else torch.channels_last


def frozen_copy(network: Network, device: torch.device, precision: str) -> Network:
    """A copy for use within a training: in evaluation mode, its weights without gradients, in fewer operations.

    Args:
        network: stays as it is, but moves to the device.
        device: where the copy goes; it stays there.
        precision: of the training; with ``bfloat16`` the copy is used under autocast.
    """
    copy = folded_for_inference(network.to(device), by_hand=precision != "bfloat16")
    return copy.to(memory_format=memory_format(device, precision))
