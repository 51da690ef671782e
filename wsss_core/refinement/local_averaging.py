"""PAR and PAMR: average scores repeatedly over pixels of similar colours, without a network.

PAR: Ru et al., "Learning Affinity from Attention" (AFA, CVPR 2022), section 3.3, as in AFA's and ToCo's
``model/PAR.py``.
PAMR: Araslanov & Roth, "Single-Stage Semantic Segmentation from Image Labels" (CVPR 2020), section 4.2, as in
1-stage-wseg's ``models/mods/pamr.py``.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wsss_core.config.averaging import Averaging, Par

TINY = 1e-8
"""Added to deviations, as by the authors."""
NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))
"""Rows and columns to the eight neighbours at a dilation of 1."""
BAND_BYTES = {"cpu": 2**23, "cuda": 2**28}
"""Memory of the weights that are computed or used at a time: on a CPU they should fit into its cache."""
KEPT_BYTES = 2**30
"""Weights that take at most this much memory are kept; for larger images they are computed in each iteration."""


class LocalAveraging:
    """The weights of some images' neighbours, for any number of maps.

    Every pixel has eight neighbours at each dilation; beyond the border, the outermost pixels are repeated. Memory is
    bounded: weights are only kept if they take less than ``KEPT_BYTES``.
    """

    def __init__(self, images: Tensor, settings: Averaging, kept_bytes: int = KEPT_BYTES) -> None:
        """Keep the images, and their weights if they fit.

        Args:
            images: float (B, 3, H, W) on any device. Scale and offset do not matter.
            settings: PAR's or PAMR's: dilations, widths, iterations.
            kept_bytes: the most memory for weights.
        """
        self._settings = settings
        self._size = (images.shape[2], images.shape[3])
        self._offsets = [(dy * d, dx * d) for d in settings.dilations for dy, dx in NEIGHBOURS]
        self._reach = max(settings.dilations)
        self._images = images
        self._padded = self._continued(images)
        row = len(self._offsets) * images.element_size() * images.shape[0] * max(1, images.shape[3])
        rows = max(1, BAND_BYTES["cpu" if images.device.type == "cpu" else "cuda"] // row)
        self._bands = [(top, min(top + rows, self._size[0])) for top in range(0, self._size[0], rows)]
        keep = row * self._size[0] <= kept_bytes
        self._kept = [self._weights(*band) for band in self._bands] if keep else None

    def __call__(self, maps: Tensor) -> Tensor:
        """Average maps.

        Args:
            maps: (B, C, h, w), of the images' device and dtype; first resized to their size (bilinear, corners
                aligned).

        Returns:
            (B, C, H, W). PAR's weights sum to ``1 + distance_weight``, so its maps grow by this factor in each
            iteration.
        """
        if maps.shape[2:] != self._size:
            maps = F.interpolate(maps, self._size, mode="bilinear", align_corners=True)
        for _ in range(self._settings.iterations):
            maps = self._averaged(maps)
        return maps

    def _averaged(self, maps: Tensor) -> Tensor:
        padded, averaged = self._continued(maps), torch.zeros_like(maps)
        for (top, bottom), weights in zip(self._bands, self._of_each_band(), strict=True):
            band = averaged[:, :, top:bottom]
            for weight, (dy, dx) in zip(weights, self._offsets, strict=True):
                band.addcmul_(weight[:, None], self._moved(padded, top, bottom, dy, dx))
        return averaged

    def _of_each_band(self) -> Iterator[Tensor]:
        yield from (self._weights(*band) for band in self._bands) if self._kept is None else self._kept

    def _weights(self, top: int, bottom: int) -> Tensor:
        """Weights of the neighbours of some rows' pixels: (N, B, rows, W)."""
        centre = self._images[:, :, top:bottom]
        moved = [self._moved(self._padded, top, bottom, dy, dx) - centre for dy, dx in self._offsets]
        differences = torch.stack(moved)  # (N, B, 3, rows, W)
        settings = self._settings
        if isinstance(settings, Par):
            # Neighbours and differences have the same deviation: the centre is the same for all.
            scaled = differences.div_((differences.std(0) + TINY) * settings.width).square_()
            weights = (-scaled.mean(2)).softmax(0)
            return weights.add_(self._weights_of_distances(weights))
        with_centres = torch.cat([differences, torch.zeros_like(differences[: len(settings.dilations)])])
        scaled = differences.abs() / (TINY + settings.width * with_centres.std(0))  # type: ignore[attr-defined]
        return (-scaled.mean(2)).softmax(0)

    def _weights_of_distances(self, like: Tensor) -> Tensor:
        settings = self._settings
        assert isinstance(settings, Par)
        shares = _distance_weights(settings.dilations, settings.width)
        return torch.tensor(shares, dtype=like.dtype).to(like.device)[:, None, None, None] * settings.distance_weight

    def _continued(self, maps: Tensor) -> Tensor:
        return F.pad(maps, [self._reach] * 4, mode="replicate")

    def _moved(self, padded: Tensor, top: int, bottom: int, dy: int, dx: int) -> Tensor:
        """Each pixel's neighbour at an offset, for some rows."""
        row, column = top + self._reach + dy, self._reach + dx
        return padded[:, :, row : row + bottom - top, column : column + self._size[1]]


@cache
def _distance_weights(dilations: tuple[int, ...], width: float) -> tuple[float, ...]:
    """PAR's weights of the neighbours by their distance, summing to 1; in float32, as in the authors' code."""
    distances = torch.tensor([d * (2**0.5 if dy and dx else 1.0) for d in dilations for dy, dx in NEIGHBOURS])
    scaled = distances / ((distances.std() + TINY) * width)
    return tuple((-(scaled**2)).softmax(0).tolist())


class AveragedScores:
    """PAR or PAMR for score maps of one image, with the interface of :class:`wsss_core.refinement.crf.DenseCrf`."""

    def __init__(self, image: np.ndarray, settings: Averaging, device: torch.device | str = "cpu") -> None:
        """Compute the weights at the size given by ``settings.shrink``.

        Args:
            image: uint8 (H, W, 3), RGB.
            settings: PAR's or PAMR's.
            device: where to compute.

        Raises:
            ValueError: the image is not uint8 (H, W, 3).
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an image is uint8 (H, W, 3), not {image.dtype} of shape {image.shape}")
        self._settings, self._device = settings, torch.device(device)
        self._size = (image.shape[0], image.shape[1])
        self._aligned = not isinstance(settings, Par)
        """Whether corners are aligned when images and scores are resized, as by PAMR's authors."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None]
        small = (max(1, self._size[0] // settings.shrink), max(1, self._size[1] // settings.shrink))
        self._small = small
        # Values from 0 to 255: the scale does not matter, and differences of whole numbers are exact.
        self._averaging = LocalAveraging(self._resized(pixels.float(), small), settings)

    def infer(self, scores: np.ndarray) -> np.ndarray:
        """Average scores.

        Args:
            scores: (L, H, W), finite.

        Returns:
            float32 (L, H, W): the averaged scores as shares of their sum in every pixel.

        Raises:
            ValueError: ``scores`` have another size or are not all finite.
        """
        if scores.shape[1:] != self._size:
            raise ValueError(f"scores have the shape {scores.shape}; the image has {self._size[0]} x {self._size[1]}")
        if not np.isfinite(scores).all():
            raise ValueError("scores hold values that are not finite")
        maps = torch.from_numpy(np.ascontiguousarray(scores, dtype=np.float32)).to(self._device)[None]
        small = self._resized(maps, self._small)
        averaged = self._averaging(small.softmax(1) if self._settings.softmax else small)
        full = self._resized(averaged, self._size)
        shares = full / full.sum(1, keepdim=True).clamp(min=TINY)
        return shares[0].cpu().numpy()

    def _resized(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        if maps.shape[2:] == size:
            return maps
        return F.interpolate(maps, size, mode="bilinear", align_corners=self._aligned)
