"""Attention affinity: class maps spread by the attention of a vision transformer's patches, without training.

Lin et al., "CLIP is Also an Efficient Segmenter", CVPR 2023, section 3.3 (class-aware attention-based affinity);
computes what CLIP-ES ``generate_cams_voc12.py`` computes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from wsss_core.config.networks import OF_WEIGHTS
from wsss_core.config.spreading import AttentionSpreading
from wsss_core.config.trunk_description import read_trunk
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.jobs.devices import moved
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.token_trunk import Grid
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_trunk, read_description, ready_for_use
from wsss_core.refinement.affinity_method import TrainingFreeMethod

EPSILON = 1e-7
"""Prevents division by zero for an empty map; the authors' value."""


class Attending(Protocol):
    """A network of tokens."""

    def attend(self, images: Tensor) -> tuple[list[Tensor], Grid]:
        """The attention between patches of images (B, 3, H, W), (B, h w, h w) for each block; and the grid."""


class AttentionMethod(TrainingFreeMethod, name="attention"):
    """As in CLIP-ES ``generate_cams_voc12.py``, for the attention of any plain vision transformer."""

    def __init__(self, network: Attending, patch: int, device: torch.device) -> None:
        """Use a network on its device; ``patch`` is the side of its patches, pixels."""
        self.network, self.stride, self.device = network, patch, device

    @classmethod
    def prepare(cls, walk: Any, network: Path | None, device: torch.device) -> "AttentionMethod":
        """Read a classifier's or a backbone's file."""
        assert network is not None
        description = read_description(network)
        made: Any
        if description.get("kind") == "classifier":
            made = load_classifier(network, device)
            trunk = made.trunk
        else:
            own = {key: value for key, value in description["backbone"].items() if key not in OF_WEIGHTS}
            trunk = made = build_trunk(read_trunk(own))
            load_trunk(network, trunk)
            ready_for_use(trunk, device)
        made = made if hasattr(made, "attend") else trunk
        if not hasattr(made, "attend"):
            raise UserError(f"{network}: method attention needs a vision transformer, but this network is none")
        return cls(made, trunk.strides[-1], device)

    def maps_to_walk(self, cams: ImageCams) -> np.ndarray:
        """The maps at a quarter of the image's size, averaged over patches: float32 (K, ceil(H / patch), ...)."""
        rows, columns = (-(-side // self.stride) for side in (cams.height, cams.width))
        maps = torch.from_numpy(np.ascontiguousarray(cams.cam, dtype=np.float32))[None]
        averaged = functional.interpolate(
            maps, size=(rows, columns), mode="bilinear", align_corners=False, antialias=True
        )
        return averaged[0].clamp(min=0).numpy()

    def walk(self, image: np.ndarray, maps: np.ndarray, walk: Any) -> np.ndarray:
        """Spread maps from patches to those that attend to them, and scale each by its minimum and maximum.

        The image is resized to whole patches by :func:`whole_patches`.
        """
        if not isinstance(walk, AttentionSpreading):
            raise UserError("the affinity is attention, but the settings of the walk are another method's")
        with torch.inference_mode():
            attention, grid = self.network.attend(
                moved(normalise(whole_patches(image, self.stride))[None], self.device)
            )
            affinity = attention_affinity([found[0] for found in attention[-walk.layers :]], walk)
            start = moved(torch.from_numpy(maps), self.device).to(affinity)
            spread = scaled(spread_by_attention(start, affinity, walk))
        return spread.double().cpu().numpy().reshape(len(maps), *grid)


def whole_patches(image: np.ndarray, patch: int) -> np.ndarray:
    """An image (H, W, 3) uint8 with both sides enlarged to the next multiple of ``patch`` (Pillow's bicubic)."""
    height, width = (-(-side // patch) * patch for side in image.shape[:2])
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def attention_affinity(attention: Sequence[Tensor], walk: AttentionSpreading) -> Tensor:
    """The matrix that spreads maps.

    Args:
        attention: (N, N) for each block to use, not negative.
        walk: how the matrix is balanced, and its power.

    Returns:
        (N, N), symmetric before the power is taken.
    """
    balanced = torch.stack(list(attention)).mean(dim=0)
    for _ in range(walk.balancing):
        balanced = balanced / balanced.sum(dim=0, keepdim=True)
        balanced = balanced / balanced.sum(dim=1, keepdim=True)
    affinity = (balanced + balanced.T) / 2
    for _ in range(walk.log2_steps):
        affinity = affinity @ affinity
    return affinity


def spread_by_attention(maps: Tensor, affinity: Tensor, walk: AttentionSpreading) -> Tensor:
    """Spread class maps along an affinity.

    Args:
        maps: (K, h, w), values in [0, 1].
        affinity: from :func:`attention_affinity`, (h w, h w), on the same device.
        walk: which values are spread.

    Returns:
        (K, h, w), not negative, not scaled; see :func:`scaled`.
    """
    if walk.box_threshold is not None:  # boxes are found on the host
        boxes = box_masks(maps.float().cpu().numpy(), walk.box_threshold)
        maps = maps * moved(torch.from_numpy(boxes), maps.device).to(maps)
    return (maps.flatten(1) @ affinity.T).view(maps.shape)


def scaled(maps: Tensor) -> Tensor:
    """Maps (K, h, w), each minus its minimum and divided by the remaining maximum: in [0, 1)."""
    left = maps - maps.amin(dim=(1, 2), keepdim=True)
    return left / (EPSILON + left.amax(dim=(1, 2), keepdim=True))


def box_masks(maps: np.ndarray, threshold: float) -> np.ndarray:
    """Boxes around the regions of class maps.

    As in the authors' code, maps are first rounded down to 8 bits, and a box that ends at the right or lower border
    lacks its last column or row. The authors also draw the boxes of holes, which are within their regions' boxes.

    Args:
        maps: float (K, h, w), values in [0, 1].
        threshold: share of a map's maximum above which a cell is part of a region.

    Returns:
        bool (K, h, w): True inside a box; False everywhere without a region.
    """
    inside = np.zeros(maps.shape, dtype=bool)
    last = maps.shape[1] - 1, maps.shape[2] - 1
    for one, values in zip(inside, (maps * 255).astype(np.uint8), strict=True):
        regions, _ = ndimage.label(values > int(threshold * int(values.max())), np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(regions):
            one[rows.start : min(rows.stop, last[0]), columns.start : min(columns.stop, last[1])] = True
    return inside
