"""Reading our own HDF5 formats from files that may be damaged, or made by others; all faults become sentences.

Only the file itself is read. Links, external storage and virtual datasets could bring in another file's bytes, and are
refused.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from wsss_core.errors import UserError

_HEAP = b"GCOL"
"""The first bytes of a collection of texts in HDF5 files."""
_MOST_COMPRESSED = 1100
"""Slightly more than gzip's largest ratio of compression."""
_ALWAYS_READ = 2**28
"""Bytes that a dataset may have, however few of them are stored."""


class Hdf5Store:
    """An HDF5 file of one of our formats, open for reading."""

    def __init__(self, path: Path | str, form: str, version: int, what: str) -> None:
        """Open the file.

        Args:
            path: the ``.h5`` file.
            form: the expected attribute ``format``.
            version: the expected attribute ``version``.
            what: the content of such files, in words (``class maps``).

        Raises:
            UserError: the file is missing, cannot be read, is damaged, or of another format or version.
        """
        self.path = path
        try:
            self._bytes = _ReadOnlyFile(path)
        except FileNotFoundError:
            raise UserError(f"{path}: there is no such file of {what}") from None
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        try:
            self.file = h5py.File(self._bytes, "r")
        except Exception as error:  # for a damaged file, the library raises nearly every type
            self._bytes.close()
            if self._bytes.failure is not None:
                raise self._unreadable(self._bytes.failure) from None
            raise UserError(f"{path}: is not a whole HDF5 file ({error}); delete it and make it again") from None
        try:
            with self.reading():
                found, number = self.file.attrs.get("format"), self.file.attrs.get("version")
                if not isinstance(found, str) or found != form:
                    raise UserError(f"{path}: is an HDF5 file, but not one of {what} (no attribute format='{form}')")
                if not isinstance(number, np.integer) or number != version:
                    raise UserError(f"{path}: has version {number} of the format; this program reads {version}")
                self.classes = self._class_names()
        except UserError:
            self.close()
            raise

    def _class_names(self) -> tuple[str, ...]:
        names = self.file.attrs["classes"]
        if not isinstance(names, np.ndarray) or names.ndim != 1 or not all(isinstance(name, str) for name in names):
            raise ValueError("the attribute 'classes' is not a list of names")
        if len({*names}) < len(names):
            raise ValueError("the attribute 'classes' has a name twice")
        return tuple(names)

    @contextmanager
    def reading(self, part: str = "it") -> Iterator[None]:
        """Report errors of the body as damage of a part of the file.

        Raises:
            UserError: the body raised anything.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # as above
            if self._bytes.failure is not None:
                raise self._unreadable(self._bytes.failure) from None
            said = "is damaged" if part == "it" else f"{part} are damaged"
            what = "it" if part == "it" else "the file"
            raise UserError(f"{self.path}: {said} ({_in_words(error)}); delete {what} and make it again") from None

    def group(self, name: str) -> h5py.Group:
        """The group of an image, with all its datasets in this file.

        Raises:
            ValueError: it is a link, is not a group, or contains anything that is not in this file.
        """
        group = _member(self.file, name, h5py.Group)
        for dataset in group:
            _member(group, dataset, h5py.Dataset)
        return group

    def integer(self, attributes: h5py.AttributeManager, name: str) -> int:
        """An attribute that is a whole number.

        Raises:
            ValueError: it is anything else.
        """
        value = attributes[name]
        if not isinstance(value, np.integer):
            raise ValueError(f"the attribute '{name}' is not a whole number")
        return int(value)

    def array(self, group: h5py.Group, name: str, kinds: str, dimensions: int) -> np.ndarray:
        """A dataset in a group from :meth:`group`.

        Args:
            group: the group.
            name: the dataset's name.
            kinds: the allowed kinds of numbers: ``f`` (float16 to float64), ``i``, ``u``.
            dimensions: the required number of dimensions.

        Raises:
            ValueError: it has another type or number of dimensions, or far more values than are stored.
        """
        dataset = group[name]
        if dataset.dtype.kind not in kinds or dataset.dtype.itemsize > 8:
            raise ValueError(f"'{name}' has values of type {dataset.dtype}")
        if dataset.shape is None or len(dataset.shape) != dimensions:
            raise ValueError(f"'{name}' has the shape {dataset.shape}; it must have {dimensions} dimensions")
        if dataset.nbytes > max(_ALWAYS_READ, _MOST_COMPRESSED * dataset.id.get_storage_size()):
            raise ValueError(f"'{name}' has the shape {dataset.shape}, of which hardly anything is stored")
        return np.asarray(dataset[()])

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        self._bytes.close()

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(f"{self.path}: cannot be read ({getattr(error, 'strerror', None) or error})")


def _member(group: h5py.Group, name: str, kind: type[h5py.Group] | type[h5py.Dataset]) -> h5py.Group | h5py.Dataset:
    """The member of a group with this name, if it is in this file and of the expected kind."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"'{name}' is a link to another place, which is not followed")
    found = group[name]
    if not isinstance(found, kind):
        raise ValueError(f"'{name}' is not an HDF5 {kind.__name__.lower()}")
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise ValueError(f"the values of '{name}' are in another file, which is not read")
    return found


def _in_words(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error) or type(error).__name__


class _ReadOnlyFile(io.RawIOBase):
    """A file for h5py to read from, which remembers whether the system refused to read it.

    Nothing is locked, as files appear whole and never change. A collection of texts that would keep the library in an
    endless loop is refused: HDF5 (2.0.0) advances by an object's size, even if that is 0.
    """

    def __init__(self, path: Path | str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view, count = memoryview(buffer).cast("B"), 0
        try:
            # With an explicit position, because forked processes share the descriptor.
            while read := os.preadv(self._descriptor, [view[count:]], self._position + count):
                count += read
        except OSError as error:
            self.failure = error
            raise
        self._position += count
        if bytes(view[:4]) == _HEAP:
            _check_heap(view[:count])
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _check_heap(heap: Sequence[int] | memoryview) -> None:
    """Refuse a collection of texts with an object that leads nowhere. The beginning of the collection is enough."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(bytes(heap[at : at + size]), "little")

    size, at = number(8, 8), 16
    while at + 16 <= min(size, len(heap)):
        length = number(at + 8, 8)
        step = 16 + -(-length // 8) * 8 if number(at, 2) else length  # number 0 is free space
        if not 0 < step <= size - at:
            raise OSError("a collection of texts is damaged")
        at += step
