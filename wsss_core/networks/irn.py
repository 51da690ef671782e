"""IRN: boundaries between objects, and displacements to the object's centre.

Ahn, Cho & Kwak, "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations",
CVPR 2019, as in irn ``net/resnet50_irn.py``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.trunk_description import describe_trunk, read_trunk
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.precision import single_precision
from wsss_core.networks.resizing import resized
from wsss_core.networks.trunk_network import TrunkNetwork
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_network, save_weights

KIND = "irn"
STRIDE = 4
"""Pixels of the image for each cell of boundaries and displacements, in both directions: the stride of class maps."""
BOUNDARY_WIDTH, BOUNDARY_GROUPS = 32, 4
"""Channels of each stage in the boundary branch, and groups of their normalisation."""
DISPLACEMENT_WIDTHS, DISPLACEMENT_GROUPS = (64, 128, 256, 256, 256), (8, 16, 16, 16, 16)
"""The same in the displacement branch, stem to ``layer4``; the first is not used for a trunk without a stem's map."""
MIXED_WIDTH, MIXED_GROUPS = 256, 16
"""Channels and groups in the displacement branch after joining stages."""


class Reduction(nn.Module):
    """1x1 convolution, group normalisation, change of stride, relu, in the authors' order."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        """Build the layers with random weights."""
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.normalisation = nn.GroupNorm(groups, outputs)

    def forward(self, features: Tensor, stride: int = 1, wanted: int = 1) -> Tensor:
        """(B, C, h, w) of one stride to (B, outputs, h', w') of another."""
        reduced = self.normalisation(self.convolution(features))
        if stride > wanted:  # bilinear, by an integer factor: the excess is cut off later
            reduced = resized(reduced, scale_factor=stride // wanted)
        elif stride < wanted:  # only for trunks finer than the authors'
            reduced = functional.avg_pool2d(reduced, wanted // stride, ceil_mode=True)
        return functional.relu(reduced)


class IrnNetwork(nn.Module):
    """Two branches on a frozen trunk.

    Both branches use all of the trunk's ``stages`` (in a ResNet, the outputs of the stem and of layer1 to layer4). The
    boundary branch resizes all to stride 4 and mixes them. The displacement branch joins the last three at the stride
    of the first of these, then the result with the others at stride 4.

    Attributes:
        crop_size: pixels; for use, images are padded with zeros to this height and width. The padding affects group
            normalisation, so this is the size of the training crops.
        radius: cells; pairs closer than this are trained.
        displacement: whether the displacement branch is (or was) trained.
        displacement_mean: (2,), the mean displacement (down, right) of the training images, computed after training:
            only differences are trained, so a common offset is arbitrary.
    """

    displacement_mean: Tensor

    def __init__(self, trunk: TrunkNetwork, crop_size: int = 512, radius: int = 10, displacement: bool = True) -> None:
        """Add randomly initialised branches to ``trunk``, and freeze the trunk."""
        super().__init__()
        self.trunk, self.crop_size = trunk.requires_grad_(False), crop_size
        self.radius, self.displacement = radius, displacement
        freeze_batch_norm(trunk)
        channels, self._strides = trunk.stage_channels, trunk.stage_strides
        self._joint_stride = max(self._strides[-3], STRIDE)
        widths, norm_groups = DISPLACEMENT_WIDTHS[-len(channels) :], DISPLACEMENT_GROUPS[-len(channels) :]
        self.boundary_reductions = nn.ModuleList(
            Reduction(inputs, BOUNDARY_WIDTH, BOUNDARY_GROUPS) for inputs in channels
        )
        self.boundary_head = nn.Conv2d(BOUNDARY_WIDTH * len(channels), 1, 1)
        self.displacement_reductions = nn.ModuleList(
            Reduction(inputs, outputs, groups)
            for inputs, outputs, groups in zip(channels, widths, norm_groups, strict=True)
        )
        self.displacement_join = Reduction(sum(widths[-3:]), MIXED_WIDTH, MIXED_GROUPS)
        self.displacement_mixing = Reduction(sum(widths[:-3]) + MIXED_WIDTH, MIXED_WIDTH, MIXED_GROUPS)
        self.displacement_head = nn.Conv2d(MIXED_WIDTH, 2, 1, bias=False)
        self.register_buffer("displacement_mean", torch.zeros(2))
        self._in_use = [trunk]  # a list, so that torch does not register it a second time

    def use_for_trunk(self, copy: TrunkNetwork) -> None:
        """Compute with a copy of the trunk, such as a folded one.

        The copy is not saved, and does not get weights that are loaded later.
        """
        self._in_use = [copy]

    def boundary_parameters(self) -> list[nn.Parameter]:
        """The parameters of the boundary branch."""
        return [*self.boundary_reductions.parameters(), *self.boundary_head.parameters()]

    def displacement_parameters(self) -> list[nn.Parameter]:
        """The parameters of the displacement branch, which have ten times the learning rate in the authors' code."""
        parts = (
            self.displacement_reductions,
            self.displacement_join,
            self.displacement_mixing,
            self.displacement_head,
        )
        return [parameter for part in parts for parameter in part.parameters()]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Raw outputs of both branches.

        Args:
            images: (B, 3, H, W) float, normalised.

        Returns:
            Boundary logits (B, h, w) and displacements (B, 2, h, w) in cells down and right, without subtracting the
            mean, with h = ceil(H / 4) and w = ceil(W / 4).
        """
        stages, size = self._stages(images), images.shape[2:]
        return self._boundary_logits(stages, size), self._displacements(stages, size)

    def boundary_logits(self, images: Tensor) -> Tensor:
        """The first of the two outputs of a call, (B, h, w), without computing the second."""
        return self._boundary_logits(self._stages(images), images.shape[2:])

    def _boundary_logits(self, stages: list[Tensor], size: torch.Size) -> Tensor:
        grid = [-(-side // STRIDE) for side in size]
        parts = [
            _cut(reduction(features, stride, STRIDE), grid)
            for reduction, features, stride in zip(self.boundary_reductions, stages, self._strides, strict=True)
        ]
        return single_precision(self.boundary_head(torch.cat(parts, dim=1))[:, 0])

    def _displacements(self, stages: list[Tensor], size: torch.Size) -> Tensor:
        grid, joint_grid = ([-(-side // stride) for side in size] for stride in (STRIDE, self._joint_stride))
        strides = (*[STRIDE] * (len(stages) - 3), *[self._joint_stride] * 3)
        parts = [
            _cut(reduction(features, stride, wanted), grid if wanted == STRIDE else joint_grid)
            for reduction, features, stride, wanted in zip(
                self.displacement_reductions, stages, self._strides, strides, strict=True
            )
        ]
        joint = _cut(self.displacement_join(torch.cat(parts[-3:], dim=1), self._joint_stride, STRIDE), grid)
        mixed = self.displacement_mixing(torch.cat([*parts[:-3], joint], dim=1))
        return single_precision(self.displacement_head(mixed))

    def infer(self, image: Tensor, cut: bool = True) -> tuple[Tensor, Tensor]:
        """Boundaries and displacements of one image, as irn ``EdgeDisplacement``.

        The boundary is the sigmoid of the mean logit of image and mirror image; displacements only use the image.

        Args:
            image: (3, H, W) float, normalised.
            cut: cut an image larger than ``crop_size`` to that size, at the right and the bottom, as in the authors'
                code; else it keeps its size, and smaller sides are padded.

        Returns:
            Boundaries (h, w) in [0, 1] and displacements (2, h, w), cells down and right to the object's centre, with
            h = ceil(H / 4) and w likewise; for the remaining part of a cut image.
        """
        logits, displacements = self(self._padded_pair(image, cut))
        grid = [-(-side // STRIDE) for side in image.shape[1:]]
        own = _cut(displacements[0], grid) - self.displacement_mean[:, None, None]
        return _boundary_of_pair(logits, grid), own

    def infer_boundary(self, image: Tensor, cut: bool = True) -> Tensor:
        """The boundaries as from :meth:`infer`, without computing displacements."""
        grid = [-(-side // STRIDE) for side in image.shape[1:]]
        return _boundary_of_pair(self.boundary_logits(self._padded_pair(image, cut)), grid)

    def _padded_pair(self, image: Tensor, cut: bool) -> Tensor:
        """Image and mirror image, (2, 3, H', W'), with zeros at the right and the bottom."""
        height, width = image.shape[1:]
        rows, columns = (self.crop_size if cut else max(self.crop_size, side) for side in (height, width))
        pair = torch.stack([image, image.flip(2)])
        return functional.pad(pair, (0, columns - width, 0, rows - height))  # negative padding cuts

    def _stages(self, images: Tensor) -> list[Tensor]:
        """The trunk's maps, without gradient, because it is frozen."""
        (trunk,) = self._in_use
        with torch.no_grad():
            return trunk.stages(images)


def build_irn(settings: Trunk, crop_size: int, radius: int = 10, displacement: bool = True) -> IrnNetwork:
    """A network with random weights from torch's global generator.

    Args:
        settings: of the trunk; ``resnet50`` with output stride 16, not dilated, in the authors' code.
        crop_size: pixels; see :class:`IrnNetwork`.
        radius: cells; pairs closer than this are trained.
        displacement: also train the displacement branch.
    """
    return IrnNetwork(build_trunk(settings), crop_size, radius, displacement)


def save_irn(path: Path | str, network: IrnNetwork, trunk: Trunk, kind: str = KIND) -> None:
    """Write a network's weights; :func:`load_irn` needs nothing else.

    Args:
        path: a .safetensors file.
        network: the network.
        trunk: settings of its trunk.
        kind: the network's name in the file; another method that uses the network has another name.
    """
    description = {
        "kind": kind,
        "trunk": describe_trunk(trunk),
        "crop_size": network.crop_size,
        "radius": network.radius,
        "displacement": network.displacement,
    }
    save_weights(path, network, description)


def load_irn(path: Path | str, device: torch.device | str = "cpu", kind: str = KIND) -> IrnNetwork:
    """Read a network for use: in evaluation mode, weights without gradients.

    Raises:
        UserError: the file is damaged, its network's name is not ``kind``, or its weights do not fit.
    """

    def build(saved: dict[str, Any]) -> IrnNetwork:
        return build_irn(read_trunk(saved["trunk"]), saved["crop_size"], saved["radius"], saved["displacement"])

    return load_network(path, kind, build, device)


def own_name(authors_name: str) -> str | None:
    """The name here for a weight in the authors' state dict.

    Returns:
        None for entries that are not needed: their state dict also has the trunk and the branches under second names
        (``stage1``, ``backbone``, ``edge_layers``, ...), and indices of paths.
    """
    if authors_name == "mean_shift.running_mean":
        return "displacement_mean"
    for prefix, own in _AUTHORS_PREFIXES.items():
        if authors_name.startswith(prefix):
            return own + authors_name.removeprefix(prefix)
    return None


def from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of :class:`IrnNetwork` on ``resnet50`` from that of the authors' network.

    Args:
        state: as saved by their ``step/train_irn.py``.

    Returns:
        The weights under our names; missing counters of batch normalisation, which are never read, are 0.
    """
    own = {name: tensor for authors_name, tensor in state.items() if (name := own_name(authors_name)) is not None}
    for name in [name for name in own if name.endswith(".running_var")]:
        own.setdefault(name.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    return own


def _authors_prefixes() -> dict[str, str]:
    """Prefixes of the authors' names and of ours."""
    reductions = {f"fc_edge{k + 1}": f"boundary_reductions.{k}" for k in range(5)}
    reductions |= {f"fc_dp{k + 1}": f"displacement_reductions.{k}" for k in range(5)}
    reductions |= {"fc_dp6": "displacement_join", "fc_dp7": "displacement_mixing"}
    prefixes = {"resnet50.": "trunk.", "fc_edge6.": "boundary_head.", "fc_dp7.3.": "displacement_head."}
    for authors_name, own in reductions.items():
        prefixes |= {f"{authors_name}.0.": f"{own}.convolution.", f"{authors_name}.1.": f"{own}.normalisation."}
    return prefixes


_AUTHORS_PREFIXES = _authors_prefixes()


def _boundary_of_pair(logits: Tensor, grid: list[int]) -> Tensor:
    """Boundaries (h, w) from the logits (2, h', w') of an image and its mirror image, both padded at the right."""
    image, mirrored = _cut(logits, grid)
    return torch.sigmoid((image + mirrored.flip(1)) / 2)


def _cut(maps: Tensor, size: list[int]) -> Tensor:
    """Cut (..., h, w) to at most ``size``: interpolated maps may be larger than the image."""
    return maps[..., : size[0], : size[1]]
