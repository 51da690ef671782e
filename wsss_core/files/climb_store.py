"""Recorded climbs of AdvCAM in HDF5: format "wsss-climb", version 1. Readable with plain h5py.

Root attributes: ``format``, ``version``, ``classes`` (names of the data set's), ``provenance`` (JSON). One group per
image, named as in the format of class maps (:func:`wsss_core.files.cam_store.group_name`), with attributes ``height``
and ``width`` and the datasets ``classes`` (K,) int16, ``maps`` (K, steps, h, w) float32, ``scores`` (K, steps) float32
and ``images`` (K, steps, h'', w'', 3) uint8.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import group_name, image_id_of
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-climb", 1


@dataclass(frozen=True)
class ImageClimb:
    """How one image climbed, for each of its classes on its own."""

    image_id: str
    """The image's id."""
    classes: np.ndarray
    """(K,) int16: indices of the classes that it climbed for."""
    maps: np.ndarray
    """(K, steps, h, w) float32: the class map at each step, at the image's own size; not negative, not normalised."""
    scores: np.ndarray
    """(K, steps) float32: the score of the class at each step, the mean of the image's and its mirror image's."""
    images: np.ndarray
    """(K, steps, h'', w'', 3) uint8: the image at each step, made small."""
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
        UserError: the file cannot be read, or is of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                raise UserError(f"{path}: is no HDF5 file of climbs (format='{FORMAT}', version={VERSION})")
            climbs = [
                ImageClimb(
                    image_id_of(name),
                    group["classes"][()],
                    group["maps"][()],
                    group["scores"][()],
                    group["images"][()],
                    int(group.attrs["height"]),
                    int(group.attrs["width"]),
                )
                for name, group in file.items()
            ]
            return tuple(map(str, file.attrs["classes"])), climbs
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({error}); delete it and make it again") from None
