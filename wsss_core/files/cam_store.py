"""The public file format of class maps: HDF5, format "wsss-cams", version 1 (docs/cam_format.md).

Readable with plain h5py. Root attributes: ``format``, ``version``, ``classes`` (names), ``stride`` (4 where it is
missing), ``provenance`` (JSON). One group per image, named by its id (:func:`group_name`), with attributes
``height`` and ``width`` and the datasets ``classes`` (K,) int16, ``cam`` (K, h, w), a cell for ``stride`` pixels
each way, and, where kept, ``high_res`` (K, height, width). Values lie in [0, 1]. In maps that a CAM method made the
largest of each class is 1 up to the method's epsilon; maps that have walked along affinities may be lower, and may
have a ``background`` (h, w), which walked with them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.files.hdf5_file import create_hdf5
from wsss_core.files.signals import signals_deferred

FORMAT, VERSION = "wsss-cams", 1
CAM_STRIDE = 4
"""Pixels of the image per cell of the ``cam`` that CAM methods make, each way."""
FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Chosen by `python -m benchmarks.cam_store`: level 4 makes files 4 % smaller, and takes a third longer."""


def group_name(image_id: str) -> str:
    """The name of an image's group: its id, with ``/`` as ``%2F`` and ``%`` as ``%25``.

    A slash would nest groups. The id ``.``, which to HDF5 is the group itself, becomes ``%2E``.
    """
    return "%2E" if image_id == "." else image_id.replace("%", "%25").replace("/", "%2F")


def image_id_of(group: str) -> str:
    """The image id that :func:`group_name` made this name from."""
    return group.replace("%2E", ".").replace("%2F", "/").replace("%25", "%")


@dataclass(frozen=True)
class ImageCams:
    """The class maps of one image."""

    image_id: str
    """The image's id."""
    classes: np.ndarray
    """(K,) int16: indices of the data set's classes that the image shows, ascending."""
    cam: np.ndarray
    """(K, ceil(height / stride), ceil(width / stride)) float32, values in [0, 1]."""
    high_res: np.ndarray | None
    """(K, height, width) float32, values in [0, 1], where the stage keeps it."""
    height: int
    """Height of the image, pixels."""
    width: int
    """Width of the image, pixels."""
    background: np.ndarray | None = None
    """(h, w) float32: the background's map, where it has walked with the others."""
    stride: int = CAM_STRIDE
    """Pixels of the image per cell of ``cam`` and ``background``, each way."""
    class_names: tuple[str, ...] = ()
    """Names of all the data set's classes, where they are known: as read from a file."""

    def _repr_html_(self) -> str:
        """How a notebook shows the maps."""
        from wsss_core.files.notebook import image_cams_html  # needs Pillow, which reading maps does not

        names = self.class_names or {index: f"class {index}" for index in self.classes}
        maps = zip((names[index] for index in self.classes), self.full_size(), strict=True)
        return image_cams_html(self.image_id, self.height, self.width, maps)

    def full_size(self) -> np.ndarray:
        """The maps at the image's size: kept ones, or ``cam`` enlarged.

        Returns:
            (K, height, width) float32; see :func:`enlarged`.
        """
        return self.high_res if self.high_res is not None else self._enlarged(self.cam)

    def full_size_background(self) -> np.ndarray | None:
        """The background's map at the image's size, (height, width) float32, if there is one."""
        return None if self.background is None else self._enlarged(self.background[None])[0]

    def _enlarged(self, maps: np.ndarray) -> np.ndarray:
        return enlarged(maps, self.stride, self.height, self.width)


def enlarged(maps: np.ndarray, stride: int, height: int, width: int) -> np.ndarray:
    """Interpolate maps of cells to the pixels of an image.

    Args:
        maps: float (K, h, w).
        stride: pixels per cell, each way.
        height: of the image, at most ``stride * h``.
        width: of the image, at most ``stride * w``.

    Returns:
        (K, height, width) of the same data type: enlarged by ``stride`` and cropped, sample positions as in torch's
        ``interpolate(scale_factor=stride, mode="bilinear", align_corners=False)``.
    """
    rows = _upsampled(maps, stride, axis=1)[:, :height]
    return _upsampled(rows, stride, axis=2)[:, :, :width]


def _upsampled(maps: np.ndarray, stride: int, axis: int) -> np.ndarray:
    """Linear interpolation to ``stride`` times the length along one axis."""
    length = maps.shape[axis]
    position = (np.arange(length * stride, dtype=maps.dtype) + 0.5) / stride - 0.5
    position = position.clip(0, length - 1)
    before = position.astype(np.intp)
    share = (position - before.astype(maps.dtype)).reshape([-1 if a == axis else 1 for a in range(maps.ndim)])
    after = np.minimum(before + 1, length - 1)
    return (1 - share) * maps.take(before, axis) + share * maps.take(after, axis)


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
    """
    with _new_store(path, classes, provenance, stride) as file:
        for image in images:
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
    """Write maps of several files to one, atomically, compressed as they are: that is what takes long.

    Args:
        path: the ``.h5`` file.
        classes: as in :func:`write_cam_store`; so is the provenance, of which the parts' is not kept.
        provenance: where the maps come from.
        image_ids: the images; written in this order.
        parts: the files, open.
        stride: as the parts'.

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
            # HDF5 refuses to compress what has no elements. A chunk is a map: they are read whole.
            chunks = (1, *data.shape[1:]) if data.ndim == 3 else data.shape
            group.create_dataset(name, data=data, **({**FILTERS, "chunks": chunks} if data.size else {}))


class CamStoreReader:
    """Reads class maps from the shards of a stage."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        """Open the shards.

        Raises:
            UserError: a file is missing, cut short, no CAM file, of another version, or of other
                classes than the first.
        """
        self._files: list[h5py.File] = []
        self._home: dict[str, h5py.File] = {}
        self._paths = tuple(paths)
        self.classes: tuple[str, ...] = ()
        """Names of the data set's classes."""
        try:
            for path in paths:
                self._open(path)
        except UserError:
            self.close()
            raise

    def _open(self, path: Path | str) -> None:
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise UserError(f"{path}: there is no such file of class maps") from None
        except OSError as error:
            raise UserError(f"{path}: is no whole HDF5 file ({error}); delete it and make it again") from None
        self._files.append(file)
        try:
            self._register(file, path)
        except (OSError, KeyError, RuntimeError) as error:
            raise UserError(f"{path}: is damaged ({error}); delete it and make it again") from None

    def _register(self, file: h5py.File, path: Path | str) -> None:
        """Check an open shard, and note which images it has."""
        if file.attrs.get("format") != FORMAT:
            raise UserError(f"{path}: is an HDF5 file, but not one of class maps (no attribute format='{FORMAT}')")
        if file.attrs.get("version") != VERSION:
            version = file.attrs.get("version")
            raise UserError(f"{path}: has version {version} of the format; this program reads {VERSION}")
        classes = tuple(str(name) for name in file.attrs["classes"])
        if self._files[0] is not file and classes != self.classes:
            raise UserError(f"{path}: has other classes than {self._files[0].filename}; they are not of one data set")
        self.classes = classes
        for image_id in map(image_id_of, file):
            if image_id in self._home:
                raise UserError(
                    f"{path}: has class maps of image '{image_id}', and so has {self._home[image_id].filename}"
                )
            self._home[image_id] = file

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, shard by shard, sorted within a shard."""
        return list(self._home)

    @property
    def files(self) -> list[str]:
        """Paths of the shards."""
        return [str(file.filename) for file in self._files]

    def _repr_html_(self) -> str:
        """How a notebook shows the store."""
        from wsss_core.files.notebook import FIRST_IMAGES, cam_store_html

        drawn = [self.read(image_id)._repr_html_() for image_id in self.image_ids[:FIRST_IMAGES]]
        return cam_store_html(self.classes, self.files, len(self.image_ids), drawn)

    def read(self, image_id: str) -> ImageCams:
        """The class maps of an image, as float32.

        Raises:
            UserError: no shard has the image, or its maps are damaged.
        """
        file = self._home_of(image_id)
        try:
            group = file[group_name(image_id)]
            return ImageCams(
                image_id,
                group["classes"][()],
                group["cam"][()].astype(np.float32),
                group["high_res"][()].astype(np.float32) if "high_res" in group else None,
                int(group.attrs["height"]),
                int(group.attrs["width"]),
                group["background"][()].astype(np.float32) if "background" in group else None,
                int(file.attrs.get("stride", CAM_STRIDE)),
                self.classes,
            )
        except (OSError, KeyError) as error:
            raise _damaged(file, image_id, error) from None

    def copy(self, image_id: str, to: h5py.File) -> None:
        """Copy an image's group to another file, without looking at the maps.

        Raises:
            UserError: as :meth:`read`.
        """
        file, group = self._home_of(image_id), group_name(image_id)
        try:
            file.copy(file[group], to, name=group)
        except (OSError, KeyError, RuntimeError) as error:
            raise _damaged(file, image_id, error) from None

    def _home_of(self, image_id: str) -> h5py.File:
        if image_id not in self._home:
            files = ", ".join(self.files)
            raise UserError(f"there are no class maps of image '{image_id}' in {files}")
        return self._home[image_id]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __reduce__(self) -> tuple[type["CamStoreReader"], tuple[tuple[Path | str, ...]]]:
        """Another process opens the shards for itself."""
        return CamStoreReader, (self._paths,)

    def __enter__(self) -> "CamStoreReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _damaged(file: h5py.File, image_id: str, error: Exception) -> UserError:
    return UserError(
        f"{file.filename}: the maps of image '{image_id}' are damaged ({error}); delete the file and make it again"
    )
