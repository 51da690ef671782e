"""What a format writes: the label maps of images whose files are already in the export's folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wsss_core.annotations.outlines import outlines
from wsss_core.annotations.regions import regions_of
from wsss_core.datasets.palette import voc_palette

Shapes = Literal["masks", "polygons"]


@dataclass(frozen=True)
class ExportedImage:
    """An image of an export."""

    image_id: str
    file: str
    """Its copy, relative to the folder of images, with ``/`` between folders."""
    size: tuple[int, int]
    """Height and width, pixels."""
    labels: Callable[[], np.ndarray]
    """Reads its label map, uint8 or uint16 (H, W)."""


@dataclass(frozen=True)
class Export:
    """The content of an export, and its form."""

    name: str
    """The origin of the labels, such as the experiment; tools show it."""
    classes: tuple[str, ...]
    shapes: Shapes
    tolerance: float
    """How far, in pixels, polygons may be from the exact outlines."""
    images: Sequence[ExportedImage]
    url: str = ""
    """The prefix of an image's file for tools that need an address (Label Studio)."""

    def masks(self, image: ExportedImage) -> Iterator[tuple[str, np.ndarray]]:
        """Labels and their pixels, bool (H, W), the largest first."""
        return regions_of(image.labels(), self.classes)

    def polygons(self, image: ExportedImage) -> Iterator[tuple[str, np.ndarray]]:
        """Labels and polygons (N, 2), each the outline of one part, without holes."""
        for label, region in self.masks(image):
            for polygon in outlines(region, self.tolerance):
                yield label, polygon


Writer = Callable[[Path, Export], None]
"""Writes an export to a new folder that already has the images in ``images``."""


def colour(number: int) -> str:
    """The colour of a label in label maps, as ``#rrggbb``; beyond 255 the colours repeat."""
    return "#{:02x}{:02x}{:02x}".format(*voc_palette()[number % 256])
