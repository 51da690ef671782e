"""What the formats of all annotation tools share: an image's regions, each with a label."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from wsss_core.datasets.class_names import nearest_class
from wsss_core.datasets.label_values import ignored_in, ignored_value, label_type

BACKGROUND, IGNORED = "background", "ignored"
"""Labels that are not classes: pixels of no class, and pixels to ignore. Pixels without a region are background."""
MOST_PIXELS = 1 << 30
"""The most pixels of an image: a file that says more is damaged, and would need all memory."""
RunLengths = Mapping[str, Any]
"""The pixels of a region, in pycocotools' form: ``size`` [height, width] and compressed ``counts``."""


@dataclass(frozen=True)
class Region:
    """Pixels of one label."""

    label: str
    pixels: RunLengths


@dataclass(frozen=True)
class AnnotatedImage:
    """An image as described in a tool's file."""

    name: str
    """Its name in the file: a path, with or without folders and suffix."""
    place: str
    """The file, and the place in it, for messages."""
    size: tuple[int, int]
    """Height and width, pixels."""
    regions: Sequence[Region] = field(default_factory=list)
    """In drawing order: later ones are on top."""
    states_background: bool = False
    """Whether the file gives a label to every pixel, so that an image without regions surely shows no class."""
    annotated: bool = True
    """False if the tool lists the image, but nobody has annotated it."""
    fault: str = ""
    """What is wrong with its file, if anything; it has no regions then."""


def checked_size(height: Any, width: Any) -> tuple[int, int]:
    """The height and width of an image according to a file.

    Raises:
        ValueError: they are not numbers of pixels, or are too large.
    """
    if not (isinstance(height, int) and isinstance(width, int)) or min(height, width) < 1:
        raise ValueError(f"is {height} high and {width} wide there; expected numbers of pixels")
    if height * width > MOST_PIXELS:
        raise ValueError(f"is {height} high and {width} wide there, which is far too large")
    return height, width


def labels_in_order(classes: Sequence[str]) -> list[str]:
    """All labels of a tool's project: the classes, then ``ignored`` and ``background``."""
    return [*classes, IGNORED, BACKGROUND]


def regions_of(labels: np.ndarray, classes: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The regions of a label map, the largest first, without the background.

    Args:
        labels: uint8 or uint16 (H, W).
        classes: names of the object classes.

    Yields:
        The label and its pixels, bool (H, W).
    """
    values, counts = np.unique(labels, return_counts=True)
    for value in values[np.argsort(-counts, kind="stable")]:
        if value != 0:
            yield (IGNORED if value == ignored_in(labels) else classes[value - 1]), labels == value


def encoded(region: np.ndarray) -> dict[str, Any]:
    """A region, bool (H, W), as run lengths."""
    return dict(coco_mask.encode(np.asfortranarray(region, dtype=np.uint8)))


def drawn(image: AnnotatedImage, classes: Sequence[str]) -> np.ndarray:
    """Draw an image's regions as a label map.

    Args:
        image: the image.
        classes: names of the object classes.

    Returns:
        (H, W), uint8 or uint16 depending on the number of classes.

    Raises:
        ValueError: its file has a fault, or a label is no class.
    """
    if image.fault:
        raise ValueError(image.fault)
    values = {name: number for number, name in enumerate(classes, start=1)}
    values |= {BACKGROUND: 0, IGNORED: ignored_value(len(classes))}
    labels = np.zeros(image.size, label_type(len(classes)))
    for region in image.regions:
        if region.label not in values:
            near = nearest_class(region.label, values)
            meant = f"did you mean {near!r}?" if near else f"the labels are {', '.join(values)}"
            raise ValueError(f"has the label {region.label!r}, which is no class; {meant}")
        labels[coco_mask.decode(region.pixels).astype(bool)] = values[region.label]
    return labels
