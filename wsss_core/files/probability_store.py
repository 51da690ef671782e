"""Class probabilities of images in HDF5: format "wsss-probabilities", version 1. Readable with plain h5py.

Root attributes: ``format``, ``version``, ``classes`` (names, ``background`` first). One group per image, named as in
the format of class maps (:func:`wsss_core.files.cam_store.group_name`), with the dataset ``probabilities``
(K + 1, H, W) float16, which sum to 1 over the classes up to rounding.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import group_name
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-probabilities", 1


def write_probabilities(path: Path | str, classes: Sequence[str], images: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write probabilities to a file, atomically; the same content gives the same bytes.

    Args:
        path: the ``.h5`` file.
        classes: names of the K + 1 classes, ``background`` first.
        images: ids and probabilities (K + 1, H, W) of the images; written in this order.
    """
    with _created(path, classes) as file:
        for image_id, probabilities in images:
            with signals_deferred():
                group = file.create_group(group_name(image_id))
                # A chunk is a class's map. The lightest compression: most values are near 0, and images are many.
                filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
                chunks = (1, *probabilities.shape[1:])
                group.create_dataset("probabilities", data=probabilities.astype(np.float16), chunks=chunks, **filters)


def merge_probabilities(path: Path | str, classes: Sequence[str], parts: Iterable[Path]) -> None:
    """Join files of :func:`write_probabilities`, atomically; what is compressed is copied as it is.

    Args:
        path: the ``.h5`` file to make.
        classes: names of the K + 1 classes, ``background`` first.
        parts: files of these classes; their images are written in this order.
    """
    with _created(path, classes) as file:
        for part in parts:
            with signals_deferred(), h5py.File(part, "r") as images:
                for name in images:
                    images.copy(name, file)


def read_probabilities(path: Path | str, image_id: str) -> np.ndarray:
    """The probabilities of an image, (K + 1, H, W) float32.

    Raises:
        UserError: the file cannot be read, is of another format, or lacks the image.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                raise UserError(f"{path}: is no HDF5 file of probabilities (format='{FORMAT}', version={VERSION})")
            if group_name(image_id) not in file:
                raise UserError(f"{path}: has no probabilities of image '{image_id}'")
            return file[group_name(image_id)]["probabilities"][()].astype(np.float32)
    except OSError as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({error})") from None


@contextmanager
def _created(path: Path | str, classes: Sequence[str]) -> Iterator[h5py.File]:
    """A new file without images; it is there when the body has ended well."""
    with atomic_path(path) as temporary, create_hdf5(temporary) as file:
        with signals_deferred():
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["classes"] = list(classes)
        yield file
