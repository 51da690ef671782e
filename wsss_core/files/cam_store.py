"""The public file format of class maps: HDF5, format "wsss-cams", version 1 (docs/cam_format.md).

Readable with plain h5py. Root attributes: ``format``, ``version``, ``classes`` (names), ``stride`` (4 if it is
missing), ``provenance`` (JSON). One group per image, named by its id (:func:`group_name`), with attributes
``height`` and ``width`` and the datasets ``classes`` (K,) int16, ``cam`` (K, h, w) with a cell for ``stride`` pixels
each way, and, if kept, ``high_res`` (K, height, width). Values are in [0, 1]. In a CAM method's maps the maximum of
each class is 1 up to the method's epsilon; maps that have walked along affinities may be lower, and may have a
``background`` (h, w), which walked with them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.hdf5_store import Hdf5Store
from wsss_core.files.image_cams import CAM_STRIDE, ImageCams, fault_of
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-cams", 1
FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Chosen with `python -m benchmarks.cam_store`: level 4 makes files 4 % smaller, but takes a third longer."""


def group_name(image_id: str) -> str:
    """The name of an image's group: its id, with ``/`` as ``%2F`` and ``%`` as ``%25``.

    A slash would nest groups. The id ``.``, which is the group itself in HDF5, becomes ``%2E``.
    """
    return "%2E" if image_id == "." else image_id.replace("%", "%25").replace("/", "%2F")


def image_id_of(group: str) -> str:
    """The image id that :func:`group_name` made this name from."""
    return group.replace("%2E", ".").replace("%2F", "/").replace("%25", "%")


def write_cam_store(
    path: Path | str,
    classes: Sequence[str],
    provenance: Mapping[str, Any],
    images: Iterable[ImageCams],
    precision: str = "float16",
    stride: int = CAM_STRIDE,
) -> None:
    """Write class maps to a file, atomically; the same content gives the same bytes.

    Args:
        path: the ``.h5`` file.
        classes: names of all the data set's classes.
        provenance: where the maps come from, as JSON values; nothing that differs between two runs
            of the same work (times, hosts).
        images: the images' maps; written in this order.
        precision: ``float16`` or ``float32``.
        stride: pixels of an image per cell of ``cam`` and ``background``.

    Raises:
        UserError: an image's maps are not finite, outside of [0, 1], or of the wrong shape.
    """
    with _new_store(path, classes, provenance, stride) as file:
        for image in images:
            if fault := fault_of(replace(image, stride=stride), len(classes)):
                raise UserError(
                    f"image '{image.image_id}': its class maps are not written, as {fault}; check the network that "
                    "they are drawn from, and the method's settings"
                )
            with signals_deferred():
                _write_image(file.create_group(group_name(image.image_id)), image, precision)


def join_cam_stores(
    path: Path | str,
    classes: Sequence[str],
    provenance: Mapping[str, Any],
    image_ids: Iterable[str],
    parts: "CamStoreReader",
    stride: int = CAM_STRIDE,
) -> None:
    """Write maps of several files to one, atomically. They stay compressed, as compression takes long.

    Args:
        path: the ``.h5`` file.
        classes: as in :func:`write_cam_store`.
        provenance: where the maps come from, as in :func:`write_cam_store`; the parts' provenance is not kept.
        image_ids: the images; written in this order.
        parts: the open files.
        stride: the stride of the parts.

    Raises:
        UserError: the parts lack an image, or it is damaged.
    """
    with _new_store(path, classes, provenance, stride) as file:
        for image_id in image_ids:
            with signals_deferred():
                parts.copy(image_id, file)


@contextmanager
def _new_store(
    path: Path | str, classes: Sequence[str], provenance: Mapping[str, Any], stride: int
) -> Iterator[h5py.File]:
    with atomic_path(path) as temporary, create_hdf5(temporary) as file:
        with signals_deferred():
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["classes"], file.attrs["stride"] = list(classes), stride
            file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        yield file


def _write_image(group: h5py.Group, image: ImageCams, precision: str) -> None:
    group.attrs["height"], group.attrs["width"] = image.height, image.width
    group.create_dataset("classes", data=np.asarray(image.classes, np.int16))
    for name, maps in {"cam": image.cam, "high_res": image.high_res, "background": image.background}.items():
        if maps is not None:
            data = np.asarray(maps, dtype=precision)
            # HDF5 refuses to compress empty datasets. A chunk is one map, as maps are read whole.
            chunks = (1, *data.shape[1:]) if data.ndim == 3 else data.shape
            group.create_dataset(name, data=data, **({**FILTERS, "chunks": chunks} if data.size else {}))


class CamStoreReader:
    """Reads class maps from the shards of a stage."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        """Open the shards.

        Raises:
            UserError: a file is missing, cut short, not a CAM file, of another version, or has other classes than the
                first.
        """
        self._stores: list[Hdf5Store] = []
        self._home: dict[str, Hdf5Store] = {}
        self._paths = tuple(paths)
        self.classes: tuple[str, ...] = ()
        """Names of the data set's classes."""
        try:
            for path in paths:
                self._register(path)
        except UserError:
            self.close()
            raise

    def _register(self, path: Path | str) -> None:
        """Open a shard, and register its images."""
        store = Hdf5Store(path, FORMAT, VERSION, "class maps")
        self._stores.append(store)
        if self._stores[0] is not store and store.classes != self.classes:
            raise UserError(f"{path}: has other classes than {self._paths[0]}; they are from different data sets")
        self.classes = store.classes
        with store.reading():
            for image_id in map(image_id_of, store.file):
                if image_id in self._home:
                    home = self._home[image_id].path
                    raise UserError(f"{path}: has class maps of image '{image_id}', but {home} has them, too")
                self._home[image_id] = store

    def check_classes(self, classes: Sequence[str]) -> None:
        """Check that the maps are of these classes, in this order; a file without images may have any classes.

        Raises:
            UserError: they are not.
        """
        if self._home and self.classes != tuple(classes):
            raise UserError(
                f"{self._paths[0]}: has class maps of the classes {', '.join(self.classes)}; the data set has "
                f"{', '.join(classes)}. Delete it and make it again"
            )

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, shard by shard, sorted within a shard."""
        return list(self._home)

    @property
    def files(self) -> list[str]:
        """Paths of the shards."""
        return [str(path) for path in self._paths]

    def _repr_html_(self) -> str:
        """How a notebook shows the store."""
        from wsss_core.files.notebook import FIRST_IMAGES, cam_store_html

        drawn = [self.read(image_id)._repr_html_() for image_id in self.image_ids[:FIRST_IMAGES]]
        return cam_store_html(self.classes, self.files, len(self.image_ids), drawn)

    def read(self, image_id: str) -> ImageCams:
        """The class maps of an image, as float32.

        Raises:
            UserError: no shard has the image, or its maps are damaged: they have another type, shape or range than in
                the format, or are not in the file itself.
        """
        store = self._home_of(image_id)
        with store.reading(f"the maps of image '{image_id}'"):
            group = store.group(group_name(image_id))
            has_stride = "stride" in store.file.attrs

            def maps(name: str, dimensions: int) -> np.ndarray:
                return store.array(group, name, "f", dimensions).astype(np.float32)

            image = ImageCams(
                image_id,
                store.array(group, "classes", "iu", 1),
                maps("cam", 3),
                maps("high_res", 3) if "high_res" in group else None,
                store.integer(group.attrs, "height"),
                store.integer(group.attrs, "width"),
                maps("background", 2) if "background" in group else None,
                store.integer(store.file.attrs, "stride") if has_stride else CAM_STRIDE,
                self.classes,
            )
            if fault := fault_of(image, len(self.classes)):
                raise ValueError(fault)
            return image

    def copy(self, image_id: str, to: h5py.File) -> None:
        """Copy an image's group to another file, without a check of the maps.

        Raises:
            UserError: as :meth:`read`.
        """
        store, name = self._home_of(image_id), group_name(image_id)
        with store.reading(f"the maps of image '{image_id}'"):
            group = store.group(name)
        try:
            store.file.copy(group, to, name=name)
        except (OSError, KeyError, RuntimeError) as error:
            raise UserError(
                f"{store.path}: the maps of image '{image_id}' are damaged ({error}); delete the file and make it again"
            ) from None

    def _home_of(self, image_id: str) -> Hdf5Store:
        if image_id not in self._home:
            files = ", ".join(self.files)
            raise UserError(f"there are no class maps of image '{image_id}' in {files}")
        return self._home[image_id]

    def close(self) -> None:
        """Close the files."""
        for store in self._stores:
            store.close()

    def __reduce__(self) -> tuple[type["CamStoreReader"], tuple[tuple[Path | str, ...]]]:
        """Another process opens the shards itself."""
        return CamStoreReader, (self._paths,)

    def __enter__(self) -> "CamStoreReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
