import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from wsss_core.errors import UserError
from wsss_core.importing.mxnet_params import read_mxnet_params

CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}
MAGICS = {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}


def array_bytes(array: np.ndarray, version: int = 2) -> bytes:
    """An array as MXNet's ``NDArray::Save`` writes it; version 0 is the oldest."""
    parts = [struct.pack("<I", MAGICS[version])] if version else []
    if version >= 2:
        parts.append(struct.pack("<i", 0))
    form = "q" if version else "I"
    parts += [struct.pack(f"<I{array.ndim}{form}", array.ndim, *array.shape), struct.pack("<ii", 1, 0)]
    parts += [struct.pack("<i", CODES[str(array.dtype)]), array.tobytes()]
    return b"".join(parts)


def write_list(path: Path, arrays: dict[str, np.ndarray], version: int = 2) -> Path:
    with path.open("wb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, len(arrays)))
        for array in arrays.values():
            file.write(array_bytes(array, version))
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            file.write(struct.pack("<Q", len(name.encode())) + name.encode())
    return path


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "arg:conv1a_weight": random.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "aux:bn7_moving_mean": random.normal(size=5),
        "counts": np.arange(6).reshape(2, 3),
    }


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_arrays_are_read(tmp_path, arrays, version):
    read = read_mxnet_params(write_list(tmp_path / "a.params", arrays, version))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert torch.equal(read[name], torch.from_numpy(array))


@pytest.mark.parametrize("kind", CODES)
def test_types(tmp_path, kind):
    array = np.array([[1, 2, 3]], kind)
    read = read_mxnet_params(write_list(tmp_path / "a.params", {"a": array}))["a"]
    assert torch.equal(read, torch.from_numpy(array))


def test_numbers_without_dimensions(tmp_path):
    array = np.array(3, np.float32)
    assert read_mxnet_params(write_list(tmp_path / "a.params", {"a": array}, 3))["a"] == 3
    with pytest.raises(UserError, match="cannot have 0 dimensions"):
        read_mxnet_params(write_list(tmp_path / "a.params", {"a": array}, 2))


@pytest.mark.parametrize("version", [0, 1, 2])
def test_cut_short_anywhere(tmp_path, version):
    path = write_list(tmp_path / "a.params", {"a": np.ones((2, 3), np.float32), "b": np.ones(1, np.int8)}, version)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"a\.params: "):
            read_mxnet_params(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(UserError, match="1 bytes follow the last name"):
        read_mxnet_params(path)


def test_any_changed_byte_is_no_crash(tmp_path):
    path = write_list(tmp_path / "a.params", {"a": np.ones((2, 3), np.float32), "b": np.ones(1, np.int8)})
    whole = path.read_bytes()
    for position in range(len(whole)):
        for value in (0, 0x7F, 0xFF):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                assert len(read_mxnet_params(path)) == 2
            except UserError as error:
                assert "\n" not in str(error)


LIST = struct.pack("<QQ", 0x112, 0)
DENSE = struct.pack("<Ii", MAGICS[2], 0)
HUGE = 2**60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with other bytes"),
        (b"PK\x03\x04" + bytes(100), "starts with other bytes"),
        (LIST + struct.pack("<Q", HUGE), "bytes should follow"),
        (LIST + struct.pack("<QQQ", 0, 0, 5), "8 bytes follow"),
        (LIST + struct.pack("<QQ", 0, HUGE), f"0 arrays have {HUGE} names"),
        (LIST + struct.pack("<QI", 1, MAGICS[2]) + struct.pack("<i", 1), "sparse"),
        (LIST + struct.pack("<Q", 1) + DENSE + struct.pack("<I", 2**31), "cannot have 2147483648 dimensions"),
        (LIST + struct.pack("<Q", 1) + DENSE + struct.pack("<Iq", 1, -1), r"cannot have the shape \[-1\]"),
        (
            LIST + struct.pack("<Q", 1) + DENSE + struct.pack("<I2q", 2, HUGE, HUGE) + struct.pack("<iii", 1, 0, 0),
            f"{4 * HUGE * HUGE} bytes should follow",
        ),
        (LIST + struct.pack("<Q", 1) + DENSE + struct.pack("<Iq3i", 1, 1, 1, 0, 99), "unknown type 99"),
    ],
)
def test_wrong_files_get_a_sentence(tmp_path, content, message):
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_mxnet_params(path)


def test_names(tmp_path):
    array = array_bytes(np.ones(1, np.float32))
    path = tmp_path / "a.params"
    head = LIST + struct.pack("<Q", 2) + 2 * array + struct.pack("<Q", 2)
    path.write_bytes(head + 2 * (struct.pack("<Q", 1) + b"a"))
    with pytest.raises(UserError, match="two arrays have the same name"):
        read_mxnet_params(path)
    path.write_bytes(head + 2 * (struct.pack("<Q", 1) + b"\xff"))
    with pytest.raises(UserError, match="a name is not text"):
        read_mxnet_params(path)
    path.write_bytes(head + struct.pack("<Q", HUGE))
    with pytest.raises(UserError, match=f"{HUGE} bytes should follow"):
        read_mxnet_params(path)
