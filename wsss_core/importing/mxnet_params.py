"""Reads MXNet's ``.params`` files without MXNet: lists of named arrays in a plain binary form.

The format is that of ``NDArray::Save`` in MXNet's ``src/ndarray/ndarray.cc``, with little-endian numbers: the magic
number of a list and 8 reserved bytes; the number of arrays, and the arrays; the number of names, and for each its
length and its bytes. An array starts with the magic number of its version, which the oldest lacks. Then follow the
storage type (versions 2 and 3), the shape, a device, the type and the values.
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
"""NumPy's types by MXNet's numbers; MXNet has more, but not for weights."""
DENSE = 0
"""The storage type of arrays that are not sparse."""
_MOST_DIMENSIONS = 32


def read_mxnet_params(path: Path | str) -> dict[str, Tensor]:
    """Read all arrays of a ``.params`` file.

    This needs no more memory than the file has bytes, even if its counts are wrong.

    Args:
        path: a file that ``mxnet.nd.save`` or ``save_checkpoint`` wrote.

    Returns:
        Arrays by name, in their own shape and type; names begin with ``arg:`` or ``aux:`` in files of a whole network.

    Raises:
        UserError: the file is missing, is not a list of arrays, is cut short or damaged, or holds sparse arrays.
    """
    try:
        with open(path, "rb") as file:
            return _Reader(path, file).named_arrays()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


class _Reader:
    """Parses a file from beginning to end; every error says where."""

    def __init__(self, path: Path | str, file: BinaryIO) -> None:
        self._path, self._file, self._position = path, file, 0
        self._size = file.seek(0, 2)
        file.seek(0)

    def named_arrays(self) -> dict[str, Tensor]:
        """Everything in the file."""
        if self._size < 8 or self._number("<Q") != LIST_MAGIC:
            raise UserError(f"{self._path}: is not a list of MXNet's arrays (.params): it starts with other bytes")
        self._number("<Q")
        # Each array and each name takes bytes, so that a wrong count fails at the end of the file.
        arrays = [self._array() for _ in range(self._number("<Q"))]
        count = self._number("<Q")
        if count != len(arrays):
            raise self._fault(f"{len(arrays)} arrays have {count} names")
        names = [self._name() for _ in arrays]
        if self._position != self._size:
            raise self._fault(f"{self._size - self._position} bytes follow the last name")
        if len(set(names)) != len(names):
            raise self._fault("two arrays have the same name")
        return dict(zip(names, arrays, strict=True))

    def _array(self) -> Tensor:
        magic = self._number("<I")
        version = ARRAY_MAGICS.get(magic, 0)
        if version >= 2 and (storage := self._number("<i")) != DENSE:
            raise self._fault(f"an array is sparse (storage type {storage}), but weights of networks here are not")
        dimensions = self._number("<I") if version else magic
        if not (1 if version < 3 else 0) <= dimensions <= _MOST_DIMENSIONS:
            raise self._fault(f"an array cannot have {dimensions} dimensions")
        shape = [self._number("<q" if version else "<I") for _ in range(dimensions)]
        if any(side < 1 for side in shape):
            raise self._fault(f"an array cannot have the shape {shape}")
        self._take(8)  # kind and number of its device
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
            raise UserError(f"{self._path}: is damaged at byte {start}: a name is not text") from error

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self._size - self._position:
            raise self._fault(f"{count} bytes should follow, but the file ends after {self._size - self._position}")
        taken = self._file.read(count)
        self._position += count
        return taken

    def _fault(self, what: str) -> UserError:
        return UserError(f"{self._path}: is damaged at byte {self._position}: {what}")
