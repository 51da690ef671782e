"""The two sizes of stored class maps, and the sum of maps of several scales."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from wsss_core.files.cam_store import CAM_STRIDE
from wsss_core.networks.resizing import resized

EPSILON = 1e-5
"""Prevents division by zero for an empty map; in all authors' code."""
MIN_MAX_EPSILON = 1e-8
"""The same for maps that are scaled by minimum and maximum (MCTformer+)."""


@dataclass
class SummedMaps:
    """Class maps of one image, or of several images of one size, summed over scales as in irn ``step/make_cam.py``."""

    height: int
    """Of the image, pixels."""
    width: int
    """Of the image, pixels."""
    resize_to_multiple: int = 16
    """``high_res`` maps are resized to the image's size rounded up to a multiple of this, and cropped."""
    rectify: bool = False
    """Set negative values to 0 after resizing; else maps must not have any."""
    normalisation: Literal["maximum", "min_max", "none"] = "maximum"
    """Each class's map is divided by its maximum, scaled by minimum and maximum to [0, 1], or not changed (if it is
    already in [0, 1])."""
    cam: Tensor | float = 0.0
    """(K, ceil(height / 4), ceil(width / 4)) after a scale was added."""
    high_res: Tensor | float = 0.0
    """(K, height, width) after a scale was added."""

    def add(self, maps: Tensor, keep_high_res: bool) -> None:
        """Add the maps (K, h, w) of one scale, resized bilinearly to the two sizes."""
        self.cam = self.cam + self._resized(maps, small_size(self.height, self.width))
        if keep_high_res:
            multiple = self.resize_to_multiple
            padded = tuple(-(-side // multiple) * multiple for side in (self.height, self.width))
            self.high_res = self.high_res + self._resized(maps, padded)[:, : self.height, : self.width]

    def _resized(self, maps: Tensor, size: tuple[int, ...]) -> Tensor:
        enlarged = resized(maps[None], size)[0]
        return enlarged.relu() if self.rectify else enlarged

    def normalised(self) -> tuple[Tensor, Tensor | None]:
        """``cam`` and ``high_res`` (None if not kept), normalised as ``normalisation`` says."""
        assert isinstance(self.cam, Tensor)
        scaled = {"maximum": _max_normalised, "min_max": _min_max_normalised, "none": lambda maps: maps}
        high_res = scaled[self.normalisation](self.high_res) if isinstance(self.high_res, Tensor) else None
        return scaled[self.normalisation](self.cam), high_res


def small_size(height: int, width: int) -> tuple[int, int]:
    """Size of ``cam`` for an image of this size: a quarter, rounded up."""
    return -(-height // CAM_STRIDE), -(-width // CAM_STRIDE)


def empty_maps(height: int, width: int, keep_high_res: bool) -> tuple[Tensor, Tensor | None]:
    """``cam`` and ``high_res`` of an image of this size without labels: K is 0."""
    return torch.zeros(0, *small_size(height, width)), torch.zeros(0, height, width) if keep_high_res else None


def _max_normalised(maps: Tensor) -> Tensor:
    """(K, h, w) divided by the maximum of each map, plus a little."""
    return maps / (torch.amax(maps, dim=(1, 2), keepdim=True) + EPSILON)


def _min_max_normalised(maps: Tensor) -> Tensor:
    """(K, h, w), each map scaled by its minimum and maximum; a constant one is 0."""
    lowest, highest = torch.amin(maps, dim=(1, 2), keepdim=True), torch.amax(maps, dim=(1, 2), keepdim=True)
    return (maps - lowest) / (highest - lowest + MIN_MAX_EPSILON)
