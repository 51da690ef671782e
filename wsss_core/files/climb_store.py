"""Recorded climbs of AdvCAM in HDF5: format "wsss-climb", version 1. Readable with plain h5py.

Root attributes: ``format``, ``version``, ``classes`` (names of the data set's), ``provenance`` (JSON). One group per
image, named as in the format of class maps (:func:`wsss_core.files.cam_store.group_name`), with attributes ``height``
and ``width`` and the datasets ``classes`` (K,) int16, ``maps`` (K, steps, h, w) float32, ``scores`` (K, steps) float32
and ``images`` (K, steps, h'', w'', 3) uint8.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import group_name, image_id_of
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.hdf5_store import Hdf5Store
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-climb", 1


@dataclass(frozen=True)
class ImageClimb:
    """How one image climbed, separately for each of its classes."""

    image_id: str
    """The image's id."""
    classes: np.ndarray
    """(K,) int16: indices of the classes that it climbed for."""
    maps: np.ndarray
    """(K, steps, h, w) float32: the class map at each step, at the image's own size; not negative, not normalised."""
    scores: np.ndarray
    """(K, steps) float32: the score of the class at each step, the mean over the image and its mirror image."""
    images: np.ndarray
    """(K, steps, h'', w'', 3) uint8: the image at each step, shrunk."""
    height: int
    """Height of the image, pixels."""
    width: int
    """Width of the image, pixels."""


def write_climbs(
    path: Path | str, classes: Sequence[str], provenance: Mapping[str, Any], climbs: Iterable[ImageClimb]
) -> None:
    """Write climbs to a file, atomically; the same content gives the same bytes.

    Args:
        path: the ``.h5`` file.
        classes: names of all the data set's classes.
        provenance: where the climbs come from, as JSON values.
        climbs: written in this order.
    """
    with atomic_path(path) as temporary, create_hdf5(temporary) as file:
        with signals_deferred():
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["classes"] = list(classes)
            file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        for climb in climbs:
            with signals_deferred():
                group = file.create_group(group_name(climb.image_id))
                group.attrs["height"], group.attrs["width"] = climb.height, climb.width
                group.create_dataset("classes", data=np.asarray(climb.classes, np.int16))
                for name in ("maps", "scores", "images"):
                    group.create_dataset(name, data=getattr(climb, name), compression="gzip", shuffle=True)


def read_climbs(path: Path | str) -> tuple[tuple[str, ...], list[ImageClimb]]:
    """The names of the data set's classes, and all climbs, sorted by image id.

    Raises:
        UserError: the file cannot be read, is damaged, or is of another format.
    """
    store = Hdf5Store(path, FORMAT, VERSION, "climbs")
    climbs = []
    with closing(store):
        with store.reading():
            names = list(store.file)
        for name in names:
            with store.reading(f"the climbs of image '{image_id_of(name)}'"):
                group = store.group(name)
                climb = ImageClimb(
                    image_id_of(name),
                    store.array(group, "classes", "iu", 1),
                    store.array(group, "maps", "f", 4),
                    store.array(group, "scores", "f", 2),
                    store.array(group, "images", "u", 5),
                    store.integer(group.attrs, "height"),
                    store.integer(group.attrs, "width"),
                )
                _check(climb, len(store.classes))
                climbs.append(climb)
    return store.classes, climbs


def _check(climb: ImageClimb, classes: int) -> None:
    """Check a climb's shapes and values.

    Raises:
        ValueError: saying what is wrong.
    """
    shown, (number, steps, *sides) = climb.classes, climb.maps.shape
    if len(shown) and not 0 <= shown.min() <= shown.max() < classes:
        raise ValueError(f"its classes are {shown.tolist()}, but the file has {classes} classes, numbered from 0")
    if number != len(shown) or steps < 1 or min(*sides, climb.height, climb.width) < 1:
        raise ValueError(f"'maps' has the shape {climb.maps.shape}")
    if climb.scores.shape != (number, steps):
        raise ValueError(f"'scores' has the shape {climb.scores.shape}")
    if climb.images.dtype != np.uint8 or climb.images.shape[:2] != (number, steps) or climb.images.shape[4] != 3:
        raise ValueError(f"'images' has the shape {climb.images.shape}, type {climb.images.dtype}")
    if min(climb.images.shape[2:4]) < 1:
        raise ValueError(f"'images' has the shape {climb.images.shape}")
    if not np.isfinite(climb.maps).all() or not np.isfinite(climb.scores).all():
        raise ValueError("it has values that are not finite")
    if climb.maps.size and climb.maps.min() < 0:
        raise ValueError("'maps' has negative values")
