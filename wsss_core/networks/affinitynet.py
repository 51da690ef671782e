"""AffinityNet: features of grid cells, whose distances separate regions."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.networks.precision import single_precision
from wsss_core.networks.resizing import resized
from wsss_core.networks.trunks import TrunkNetwork, build_trunk
from wsss_core.networks.weights import load_network, save_weights

KIND = "affinitynet"
WIDTHS = (64, 128, 256)
"""Number of features from layer2, layer3 and layer4 (psa ``network/resnet38_aff.py``)."""


class AffinityNetwork(nn.Module):
    """``elu(f9(cat(elu(f8_3), elu(f8_4), elu(f8_5))))`` of Ahn & Kwak (CVPR 2018) on a ResNet.

    A 1x1 convolution reduces each of layer2 to layer4, to at most half of its channels, so that small trunks get small
    features. All are resized to one grid.

    Attributes:
        stride: pixels of the image for each cell of the grid, in both directions.
        radius: cells; pairs closer than this are trained and get an affinity.
        border_pairs: use pairs near the grid's border, which the authors' code leaves out.
    """

    def __init__(self, trunk: TrunkNetwork, stride: int, radius: int, border_pairs: bool = False) -> None:
        """Add randomly initialised layers to ``trunk``."""
        super().__init__()
        self.trunk, self.stride, self.radius, self.border_pairs = trunk, stride, radius, border_pairs
        channels = trunk.channels[1:]
        widths = [min(width, own // 2) for width, own in zip(WIDTHS, channels, strict=True)]
        reductions = [nn.Conv2d(own, width, 1, bias=False) for own, width in zip(channels, widths, strict=True)]
        self.reductions = nn.ModuleList(reductions)
        self.mixing = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        for reduction in reductions:
            nn.init.kaiming_normal_(reduction.weight)
        # The authors' gain: affinities spread over (0, 1) from the start, instead of all near 1.
        nn.init.xavier_uniform_(self.mixing.weight, gain=4)

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters outside the trunk."""
        return [*self.reductions.parameters(), *self.mixing.parameters()]

    def forward(self, images: Tensor) -> Tensor:
        """Features of the cells.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            (B, C, ceil(H / stride), ceil(W / stride)), values from -1 up.
        """
        reduced = [
            functional.elu(reduction(features))
            for reduction, features in zip(self.reductions, self.trunk(images)[1:], strict=True)
        ]
        rows, columns = (-(-side // self.stride) for side in images.shape[2:])
        on_grid = [
            _to_stride(features, stride, self.stride)[:, :, :rows, :columns]
            for features, stride in zip(reduced, self.trunk.strides[1:], strict=True)
        ]
        return functional.elu(single_precision(self.mixing(torch.cat(on_grid, dim=1))))


def _to_stride(features: Tensor, stride: int, wanted: int) -> Tensor:
    """Change the stride of (B, C, h, w), by interpolation to a finer one, else by averaging."""
    if stride == wanted:
        return features
    if stride < wanted:
        return functional.avg_pool2d(features, wanted // stride, ceil_mode=True)
    return resized(features, scale_factor=stride // wanted)


def save_affinitynet(path: Path | str, network: AffinityNetwork, trunk: Trunk, kind: str = KIND) -> None:
    """Write a network's weights; :func:`load_affinitynet` needs nothing else.

    Args:
        path: a .safetensors file.
        network: the network.
        trunk: settings of its trunk.
        kind: the network's name in the file; another method that uses the network has another name.
    """
    description = {
        "kind": kind,
        "trunk": describe_trunk(trunk),
        "stride": network.stride,
        "radius": network.radius,
        "border_pairs": network.border_pairs,
    }
    save_weights(path, network, description)


def load_affinitynet(path: Path | str, device: torch.device | str = "cpu", kind: str = KIND) -> AffinityNetwork:
    """Read a network for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is damaged, its network's name is not ``kind``, or its weights do not fit.
    """

    def build(saved: dict[str, Any]) -> AffinityNetwork:
        trunk = build_trunk(read_trunk(saved["trunk"]))
        return AffinityNetwork(trunk, saved["stride"], saved["radius"], saved["border_pairs"])

    return load_network(path, kind, build, device)
