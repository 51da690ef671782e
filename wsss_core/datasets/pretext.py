"""Pictures of coloured patterns that a small trunk learns on, as big ones do on ImageNet.

The pretext set stands in for ImageNet where the data is the embedded one (docs/creatures.md): it
teaches a trunk to tell colours, textures and edges on textured backgrounds. It is drawn with the
same textures, backgrounds and camera as the creatures, but shows no creature: no body shape,
limb or head, and no picture of the data set. Its hues and patterns are every possible
combination of a few, and none of them belongs to one creature class alone.
"""

from collections.abc import Callable

import numpy as np

from wsss_core.datasets.drawing import (
    BACKGROUNDS,
    REFERENCE_SIDE,
    SUPERSAMPLING,
    background,
    blobs,
    checks,
    clip_window,
    ellipse_level,
    hsv_colour,
    local_window,
    photograph,
    stripes,
)


def _rings(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Circles around the middle of the object."""
    return np.sin(2 * np.pi * (np.hypot(along, across) + generator.uniform())) > 0


def _rays(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Two to five light sectors around the middle of the object."""
    sectors = generator.integers(2, 6)
    return np.sin(sectors * np.arctan2(across, along) + generator.uniform(0, 2 * np.pi)) > 0


PATTERNS = {"striped": stripes, "checked": checks, "blobbed": blobs, "ringed": _rings}
