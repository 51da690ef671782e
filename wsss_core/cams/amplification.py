"""Which regions of a class map grow while the image climbs: those that were already discriminative, or others.

AdvCAM's analysis of its regularisation (Lee et al., CVPR 2021): the class map of a climbing image divided by that of
the clean image, pixel by pixel, in the regions where the clean map is high and where it is low. The bounds of the
regions are the paper's as far as we remember them; they are not in the authors' code.
"""

from dataclasses import dataclass, field

import numpy as np

REGIONS = {"discriminative": (0.5, np.inf), "other": (0.1, 0.5)}
"""For each region, the range of pixel values in the clean map, as shares of its maximum. Pixels below all regions are
background in the clean map."""


@dataclass
class Amplification:
    """How many pixels of each region have grown, and by how much, at each step, over all climbs added so far."""

    steps: int
    """Maps of each climb, including the clean image's."""
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(len(REGIONS)))
    """(regions,) float64: pixels of the clean maps in each region."""
    grown: np.ndarray = field(init=False)
    """(steps, regions) float64: pixels above their value in the clean map."""
    ratios: np.ndarray = field(init=False)
    """(steps, regions) float64: sums of the pixels' values divided by those in the clean map."""

    def __post_init__(self) -> None:
        """Start with no pixel."""
        self.grown, self.ratios = (np.zeros((self.steps, len(REGIONS))) for _ in range(2))

    def add(self, maps: np.ndarray) -> None:
        """Count one climb.

        Args:
            maps: (steps, h, w), of one class, not negative, not normalised (because each pixel is compared with its
                clean value); the first is the clean image's. If there are fewer steps, the figures of later steps
                become NaN.
        """
        clean = maps[0].astype(np.float64)
        if clean.max() == 0:
            return
        for region, (lowest, highest) in enumerate(REGIONS.values()):
            inside = (clean >= lowest * clean.max()) & (clean < highest * clean.max())
            self.pixels[region] += inside.sum()
            ratio = maps[:, inside] / clean[inside]  # (steps, pixels)
            self.grown[: len(maps), region] += (maps[:, inside] > maps[0][inside]).sum(axis=1)
            self.ratios[: len(maps), region] += ratio.sum(axis=1)
        self.grown[len(maps) :] = self.ratios[len(maps) :] = np.nan

    def shares(self) -> np.ndarray:
        """(steps, regions) float64 in [0, 1]: the share of each region's pixels that have grown; NaN without pixels."""
        return _by(self.grown, self.pixels)

    def mean_ratios(self) -> np.ndarray:
        """(steps, regions) float64: the mean ratio of value to clean value, 1 at the first step; NaN without pixels."""
        return _by(self.ratios, self.pixels)


def _by(sums: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / pixels)
