"""Random walk of class maps that does not cross boundaries (IRN)."""

import numpy as np
import torch
from torch import Tensor

from wsss_core.jobs.devices import moved
from wsss_core.refinement.boundary_paths import boundary_affinities, boundary_paths
from wsss_core.refinement.random_walk import random_walk


def walk_within_boundaries(
    maps: np.ndarray,
    boundaries: np.ndarray | Tensor,
    radius: int,
    beta: float,
    log2_steps: int,
    device: torch.device | None = None,
) -> np.ndarray:
    """Let class maps walk along the affinities from a boundary map.

    As in irn ``misc/indexing.propagate_to_edge``, maps are first weakened on boundaries, and all pairs in the grid that
    are closer than ``radius`` count. Computed in float64, without a dense matrix.

    Args:
        maps: (K, h, w), finite; K may be 0.
        boundaries: (h, w), values in [0, 1]; a tensor may be on any device.
        radius: in cells; 5 in IRN.
        beta: affinities are raised to this power; 10 in IRN.
        log2_steps: binary logarithm of the number of steps; 8 in IRN.
        device: where to compute; the CPU by default.

    Returns:
        float64 (K, h, w).

    Raises:
        ValueError: shapes do not fit, or a boundary is not in [0, 1].
    """
    if tuple(boundaries.shape) != maps.shape[1:]:
        raise ValueError(f"boundaries are of shape {tuple(boundaries.shape)}, maps of {maps.shape}")
    device = torch.device("cpu") if device is None else device
    barrier = moved(torch.as_tensor(boundaries), device).double()
    paths = boundary_paths(radius)
    affinities = boundary_affinities(barrier, paths)
    start = moved(torch.from_numpy(maps.astype(np.float64)), device) * (1 - barrier)
    return random_walk(start, affinities, [path[0] for path in paths], beta, log2_steps, device)
