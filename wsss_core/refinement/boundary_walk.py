"""Class maps that walk about, but not across boundaries (IRN)."""

import numpy as np
import torch
from torch.nn import functional

from wsss_core.refinement.boundary_paths import boundary_affinities, boundary_paths
from wsss_core.refinement.random_walk import random_walk


def walk_within_boundaries(
    maps: np.ndarray, boundaries: np.ndarray, radius: int, beta: float, log2_steps: int
) -> np.ndarray:
    """Let class maps walk along the affinities that a boundary map leaves.

    As irn ``misc/indexing.propagate_to_edge``: maps are weakened on boundaries first, and all pairs
    in the grid that are closer than ``radius`` count. In float64, and without a dense matrix.

    Args:
        maps: (K, h, w), finite; K may be 0.
        boundaries: (h, w), values in [0, 1].
        radius: in cells; 5 in IRN.
        beta: affinities are raised to this power; 10 in IRN.
        log2_steps: binary logarithm of the number of steps; 8 in IRN.

    Returns:
        float64 (K, h, w).

    Raises:
        ValueError: shapes do not fit, or a boundary is not in [0, 1].
    """
    if boundaries.shape != maps.shape[1:]:
        raise ValueError(f"boundaries are of shape {boundaries.shape}, maps of {maps.shape}")
    boundaries = boundaries.astype(np.float64)
    paths = boundary_paths(radius)
    affinities = boundary_affinities(torch.from_numpy(boundaries), paths).numpy()
    start = maps * (1 - boundaries)
    return random_walk(start, affinities, [path[0] for path in paths], beta, log2_steps)


def enlarge(maps: np.ndarray, stride: int, height: int, width: int) -> np.ndarray:
    """Interpolate maps of cells to the pixels of an image.

    Args:
        maps: float (K, h, w).
        stride: pixels per cell, each way.
        height: of the image, at most ``stride * h``.
        width: of the image, at most ``stride * w``.

    Returns:
        (K, height, width) of the same data type, bilinear.
    """
    fine = functional.interpolate(
        torch.from_numpy(maps)[None], scale_factor=stride, mode="bilinear", align_corners=False
    )
    return fine[0, :, :height, :width].numpy()


def divided_by_largest(maps: np.ndarray) -> np.ndarray:
    """Maps over the largest value of all of them, so that a background score means the same in all images.

    Args:
        maps: float (K, H, W), values >= 0.

    Returns:
        float (K, H, W), values in [0, 1]; ``maps`` as they are if all is 0.
    """
    largest = maps.max(initial=0)
    return maps / largest if largest > 0 else maps
