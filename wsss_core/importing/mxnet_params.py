"""MXNet's ``.params`` files, read without MXNet: lists of named arrays in a plain binary form.

As ``NDArray::Save`` of MXNet's ``src/ndarray/ndarray.cc`` writes it, all numbers little-endian: the magic
number of a list and 8 reserved bytes; a count and so many arrays; a count and so many names, each its
length and its bytes. An array starts with the magic number of its version; the oldest has none. Then
come the way of storage (versions 2 and 3), the shape, a device, the type and the values.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from wsss_core.errors import UserError

LIST_MAGIC = 0x112
ARRAY_MAGICS = {0xF993FAC8: 1, 0xF993FAC9: 2, 0xF993FACA: 3}
"""Versions by the number that an array starts with. A version-0 array starts with its number of dimensions."""
TYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "|u1", 4: "<i4", 5: "|i1", 6: "<i8"}
"""Of NumPy, by the number that MXNet has for them; the file has further ones, but not for weights."""
DENSE = 0
"""The way of storage that is no sparse one."""
_MOST_DIMENSIONS = 32


def read_mxnet_params(path: Path | str) -> dict[str, Tensor]:
    """Read all arrays of a ``.params`` file.

    No more memory is asked for than the file has bytes, whatever its counts claim.

    Args:
        path: a file that ``mxnet.nd.save`` or ``save_checkpoint`` wrote.

    Returns:
        Arrays of their own shape and type, by their names, which begin with ``arg:`` or ``aux:`` in files
        of a whole network.

    Raises:
        UserError: there is no such file, it is no list of arrays, is cut short or damaged, or holds
            sparse arrays.
    """
    try:
        with open(path, "rb") as file:
            return _Reader(path, file).named_arrays()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


class _Reader:
    """Takes a file to pieces from its beginning to its end; every complaint says where."""

    def __init__(self, path: Path | str, file: BinaryIO) -> None:
        self._path, self._file, self._position = path, file, 0
        self._size = file.seek(0, 2)
        file.seek(0)

    def named_arrays(self) -> dict[str, Tensor]:
        """Everything in the file."""
        if self._size < 8 or self._number("<Q") != LIST_MAGIC:
            raise UserError(f"{self._path}: is no list of MXNet's arrays (.params): it starts with other bytes")
        self._number("<Q")
        # Each array and each name takes bytes, so a wrong count ends at the end of the file.
        arrays = [self._array() for _ in range(self._number("<Q"))]
        count = self._number("<Q")
        if count != len(arrays):
            raise self._fault(f"{len(arrays)} arrays have {count} names")
        names = [self._name() for _ in arrays]
        if self._position != self._size:
            raise self._fault(f"{self._size - self._position} bytes follow the last name")
        if len(set(names)) != len(names):
            raise self._fault("two arrays have one name")
        return dict(zip(names, arrays, strict=True))

    def _array(self) -> Tensor:
        magic = self._number("<I")
        version = ARRAY_MAGICS.get(magic, 0)
        if version >= 2 and (storage := self._number("<i")) != DENSE:
            raise self._fault(f"an array is sparse (way of storage {storage}), which no weight of a network here is")
        dimensions = self._number("<I") if version else magic
        if not (1 if version < 3 else 0) <= dimensions <= _MOST_DIMENSIONS:
            raise self._fault(f"an array cannot have {dimensions} dimensions")
        shape = [self._number("<q" if version else "<I") for _ in range(dimensions)]
        if any(side < 1 for side in shape):
            raise self._fault(f"an array cannot have the shape {shape}")
        self._take(8)  # kind and number of the device that it lay on
        code = self._number("<i")
        if code not in TYPES:
            raise self._fault(f"an array has the unknown type {code}")
        kind = np.dtype(TYPES[code])
        values = np.frombuffer(bytearray(self._take(math.prod(shape) * kind.itemsize)), kind)
        return torch.from_numpy(values.reshape(shape))

    def _name(self) -> str:
        start = self._position
        try:
            return self._take(self._number("<Q")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{self._path}: is damaged at byte {start}: a name is no text") from error

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, count: int) -> bytes:
        """The next bytes, so many of them."""
        if count > self._size - self._position:
            raise self._fault(f"{count} bytes should follow, but the file ends after {self._size - self._position}")
        taken = self._file.read(count)
        self._position += count
        return taken

    def _fault(self, what: str) -> UserError:
        return UserError(f"{self._path}: is damaged at byte {self._position}: {what}")
