"""A training-free affinity of one's own: cells of 4 pixels belong together whose colours are alike."""

from typing import Literal

import numpy as np
from PIL import Image

from wsss_core.extend import TrainingFreeAffinity, TrainingFreeMethod, Walk, neighbour_offsets, random_walk, register


@register("affinities")
class ColourAffinity(TrainingFreeAffinity):
    """Class maps walk where the image's colours change little."""

    method: Literal["colours"] = "colours"
    walk: Walk = Walk()


class ColourMethod(TrainingFreeMethod, name="colours"):
    """exp(-10 x mean difference of colours, on the 0..1 scale) of cells less than 5 apart."""

    stride = 4

    @classmethod
    def prepare(cls, walk, network, device):
        """Nothing to prepare: no network is looked at."""
        return cls()

    def maps_to_walk(self, cams):
        """The maps of a quarter of the image's size (K, h, w)."""
        return cams.cam

    def walk(self, image, maps, walk):
        """Let maps (K, h, w) of an image (H, W, 3) walk."""
        cells = np.asarray(Image.fromarray(image).resize(maps.shape[:0:-1])) / 255
        offsets = neighbour_offsets(5)
        differences = [np.abs(cells - np.roll(cells, (-y, -x), (0, 1))).mean(axis=2) for y, x in offsets]
        affinities = np.exp(-10 * np.stack(differences))
        return random_walk(maps, affinities, offsets, walk.beta, walk.log2_steps)
