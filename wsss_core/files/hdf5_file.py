"""HDF5 files that notice a full disk."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from wsss_core.files.signals import signals_deferred


@contextmanager
def create_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """Create an HDF5 file; equal content gives equal bytes.

    The HDF5 library writes its buffers when datasets are closed, where h5py drops errors: on a full disk parts would be
    missing from a file that looks whole, and the process might crash at the end. So the library writes to an object
    that remembers the first error.

    Yields:
        The open file. Write to it within ``signals_deferred``: exceptions from a signal's handler may be dropped as
        well.

    Raises:
        OSError: something could not be written.
    """
    with open(path, "w+b", buffering=0) as file:
        target = _RememberingFile(file)
        hdf5 = h5py.File(target, "w")
        try:
            try:
                yield hdf5
            finally:
                with signals_deferred():  # an exception from a signal's handler would be dropped as well
                    hdf5.close()
        except Exception as error:
            if target.failure is None:
                raise
            raise target.failure from error
        if target.failure is not None:
            raise target.failure


class _RememberingFile(io.RawIOBase):
    """A file for h5py. After a failed write, later ones seem to succeed, as HDF5 cannot handle errors."""

    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while self.failure is None and written < len(view):
            try:
                written += self.file.write(view[written:])
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.file.truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: Any) -> int:
        return self.file.readinto(buffer) or 0
