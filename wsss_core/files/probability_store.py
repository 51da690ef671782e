"""Class probabilities of images in HDF5: format "wsss-probabilities", version 1. Readable with plain h5py.

Root attributes: ``format``, ``version``, ``classes`` (names, ``background`` first). One group per image, named as in
the format of class maps (:func:`wsss_core.files.cam_store.group_name`), with the dataset ``probabilities``
(K + 1, H, W) float16, which sum to 1 over the classes up to rounding.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import h5py
import numpy as np

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.cam_store import group_name, image_id_of
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.hdf5_store import Hdf5Store
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-probabilities", 1
_HIGHEST = 1.001
"""1, plus the rounding error of float16."""


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
                # A chunk is one class's map. The lightest compression is enough: most values are near 0.
                filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
                chunks = (1, *probabilities.shape[1:])
                group.create_dataset("probabilities", data=probabilities.astype(np.float16), chunks=chunks, **filters)


def merge_probabilities(path: Path | str, classes: Sequence[str], parts: Iterable[Path]) -> None:
    """Join files of :func:`write_probabilities`, atomically; compressed data are copied as they are.

    Args:
        path: the ``.h5`` file to make.
        classes: names of the K + 1 classes, ``background`` first.
        parts: files of these classes; their images are written in this order.

    Raises:
        UserError: a part is missing or damaged.
    """
    with _created(path, classes) as file:
        for part in parts:
            with signals_deferred(), closing(_opened(part)) as images:
                with images.reading():
                    names = list(images.file)
                for name in names:
                    with images.reading(_of(image_id_of(name))):
                        group = images.group(name)
                    images.file.copy(group, file, name=name)


def has_probabilities(path: Path | str, image_id: str) -> bool:
    """Whether a file exists and has sound probabilities of an image."""
    try:
        read_probabilities(path, image_id)
    except UserError:
        return False
    return True


def read_probabilities(path: Path | str, image_id: str) -> np.ndarray:
    """The probabilities of an image, (K + 1, H, W) float32.

    Raises:
        UserError: the file cannot be read, is damaged, is of another format, or lacks the image.
    """
    with closing(_opened(path)) as store, store.reading(_of(image_id)):
        if group_name(image_id) not in store.file:
            raise UserError(f"{path}: has no probabilities of image '{image_id}'")
        found = store.array(store.group(group_name(image_id)), "probabilities", "f", 3).astype(np.float32)
        if len(found) != len(store.classes) or found.size == 0:
            raise ValueError(f"they have the shape {found.shape}, but the file has {len(store.classes)} classes")
        if not (found.min() >= 0 and found.max() <= _HIGHEST):  # also true for NaN
            raise ValueError(f"they are between {found.min():.4g} and {found.max():.4g}, not in [0, 1]")
        return found


def _opened(path: Path | str) -> Hdf5Store:
    return Hdf5Store(path, FORMAT, VERSION, "probabilities")


def _of(image_id: str) -> str:
    return f"the probabilities of image '{image_id}'"


@contextmanager
def _created(path: Path | str, classes: Sequence[str]) -> Iterator[h5py.File]:
    """A new file without images; it appears when the body succeeds."""
    with atomic_path(path) as temporary, create_hdf5(temporary) as file:
        with signals_deferred():
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["classes"] = list(classes)
        yield file
