import fcntl
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsss_core.errors import UserError
from wsss_core.files.cam_store import (
    CamStoreReader,
    ImageCams,
    group_name,
    image_id_of,
    join_cam_stores,
    write_cam_store,
)

CLASSES = ("cat", "Hündin", "tv/monitor")
IDS = ("2007_000032", "a/b", "a%2Fb", ".", "Ärger 1", "猫")


def image_cams(image_id: str, classes=(0, 2), height: int = 11, width: int = 6, high_res: bool = True) -> ImageCams:
    random = np.random.default_rng(len(image_id))
    maps = random.random((len(classes), height, width), dtype=np.float32)
    small = random.random((len(classes), -(-height // 4), -(-width // 4)), dtype=np.float32)
    return ImageCams(image_id, np.array(classes, np.int16), small, maps if high_res else None, height, width)


def write(path: Path, images, **options) -> Path:
    write_cam_store(path, options.pop("classes", CLASSES), {"digest": "1f3c", "b": [1]}, images, **options)
    return path


def test_what_is_written_is_read(tmp_path):
    images = [image_cams(image_id) for image_id in IDS]
    path = write(tmp_path / "cams.h5", images, precision="float32")
    with CamStoreReader([path]) as reader:
        assert reader.classes == CLASSES
        assert sorted(reader.image_ids) == sorted(IDS)
        for image in images:
            read = reader.read(image.image_id)
            assert (read.image_id, read.height, read.width) == (image.image_id, 11, 6)
            for name, dtype in (("classes", np.int16), ("cam", np.float32), ("high_res", np.float32)):
                assert getattr(read, name).dtype == dtype
                np.testing.assert_array_equal(getattr(read, name), getattr(image, name))


def test_half_precision_is_the_default_and_read_as_float32(tmp_path):
    image = image_cams("x")
    with CamStoreReader([write(tmp_path / "cams.h5", [image])]) as reader:
        read = reader.read("x")
    assert read.cam.dtype == np.float32
    np.testing.assert_array_equal(read.cam, image.cam.astype(np.float16).astype(np.float32))


def test_an_image_without_classes_and_an_empty_shard(tmp_path):
    full = write(tmp_path / "full.h5", [image_cams("x", classes=())])
    with CamStoreReader([full, write(tmp_path / "empty.h5", [])]) as reader:
        assert reader.image_ids == ["x"]
        assert reader.read("x").full_size().shape == (0, 11, 6)


def test_the_format_is_as_documented_for_plain_h5py(tmp_path):
    path = write(tmp_path / "cams.h5", [image_cams("2007_000032"), image_cams("no/high_res", high_res=False)])
    with h5py.File(path) as file:
        assert file.attrs["format"] == "wsss-cams" and file.attrs["version"] == 1
        assert list(file.attrs["classes"]) == list(CLASSES)
        assert json.loads(file.attrs["provenance"]) == {"digest": "1f3c", "b": [1]}
        assert set(file) == {"2007_000032", "no%2Fhigh_res"}
        group = file["2007_000032"]
        assert (group.attrs["height"], group.attrs["width"]) == (11, 6)
        assert group["classes"].dtype == np.int16 and list(group["classes"]) == [0, 2]
        assert group["cam"].shape == (2, 3, 2) and group["cam"].dtype == np.float16
        assert group["cam"].compression == "gzip" and group["cam"].shuffle
        assert group["high_res"].shape == (2, 11, 6)
        assert "high_res" not in file["no%2Fhigh_res"]


@given(st.text(min_size=1))
def test_group_names_are_reversible_and_do_not_nest(image_id):
    assert image_id_of(group_name(image_id)) == image_id
    assert "/" not in group_name(image_id) and group_name(image_id) != "."


def test_same_content_same_bytes(tmp_path):
    images = [image_cams(image_id) for image_id in IDS]
    first = write(tmp_path / "first.h5", images).read_bytes()
    # Another process: nothing of a process' memory, and no time, may get into the file.
    code = (
        "import sys, time; time.sleep(1.1); from pathlib import Path; from tests.files.test_cam_store import *;"
        "write(Path(sys.argv[1]), [image_cams(image_id) for image_id in IDS])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "second.h5")], check=True)
    assert (tmp_path / "second.h5").read_bytes() == first


def test_a_failed_write_leaves_nothing(tmp_path):
    def images():
        yield image_cams("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(tmp_path / "cams.h5", images())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width"), [(11, 6), (16, 20), (1, 1), (375, 500)])
def test_full_size_is_torchs_interpolation(height, width):
    image = image_cams("x", height=height, width=width, high_res=False)
    up = torch.nn.functional.interpolate(
        torch.from_numpy(image.cam)[None], scale_factor=4, mode="bilinear", align_corners=False
    )[0, :, :height, :width]
    np.testing.assert_allclose(image.full_size(), up.numpy(), atol=1e-6)
    assert image.full_size().dtype == np.float32


def test_full_size_prefers_what_is_kept():
    image = image_cams("x")
    assert image.full_size() is image.high_res


def test_shards_are_read_as_one(tmp_path):
    paths = [write(tmp_path / f"{k}.h5", [image_cams(image_id)]) for k, image_id in enumerate(IDS)]
    with CamStoreReader(paths) as reader:
        assert reader.image_ids == list(IDS)
        assert reader.read(IDS[3]).image_id == IDS[3]


def test_files_are_joined_as_they_are(tmp_path):
    images = [image_cams(image_id) for image_id in IDS] + [image_cams("none", classes=(), high_res=False)]
    parts = [write(tmp_path / f"{k}.h5", images[k::2]) for k in range(2)]
    joined = [tmp_path / "joined.h5", tmp_path / "again.h5"]
    ids = [image.image_id for image in images]
    with CamStoreReader(parts) as reader:
        for path in joined:
            join_cam_stores(path, CLASSES, {"b": [1], "digest": "1f3c"}, ids, reader)
        with pytest.raises(UserError, match="no class maps of image 'y'"):
            join_cam_stores(tmp_path / "more.h5", CLASSES, {}, ["a/b", "y"], reader)
    assert not (tmp_path / "more.h5").exists()
    assert joined[0].read_bytes() == joined[1].read_bytes()
    at_once = write(tmp_path / "at_once.h5", images)
    with h5py.File(joined[0]) as one, h5py.File(at_once) as other:
        assert dict(one.attrs.items()).keys() == dict(other.attrs.items()).keys()
        assert one.attrs["provenance"] == other.attrs["provenance"]
        assert {group: set(one[group]) for group in one} == {group: set(other[group]) for group in other}
        assert one["猫/cam"].chunks == other["猫/cam"].chunks and one["猫/cam"].shuffle
    with CamStoreReader([joined[0]]) as first, CamStoreReader([at_once]) as second:
        for image_id in ids:
            np.testing.assert_array_equal(first.read(image_id).full_size(), second.read(image_id).full_size())


def test_errors_say_what_is_wrong(tmp_path):
    good = write(tmp_path / "good.h5", [image_cams("x")])
    other_classes = write(tmp_path / "classes.h5", [], classes=("dog",))
    version = write(tmp_path / "version.h5", [])
    with h5py.File(version, "a") as file:
        file.attrs["version"] = 2
    foreign = tmp_path / "foreign.h5"
    h5py.File(foreign, "w").close()
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(good.read_bytes()[:-100])
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    twice = write(tmp_path / "twice.h5", [image_cams("x")])
    for path, message in {
        tmp_path / "missing.h5": "no such file",
        other_classes: "other classes",
        version: "version 2",
        foreign: "not one of class maps",
        truncated: "not a whole HDF5 file",
        text: "not a whole HDF5 file",
        twice: "class maps of image 'x', but",
    }.items():
        with pytest.raises(UserError, match=message) as error:
            CamStoreReader([good, path])
        assert str(path) in str(error.value)
    with CamStoreReader([good]) as reader, pytest.raises(UserError, match="image 'y'"):
        reader.read("y")


def test_damaged_maps_name_the_image(tmp_path):
    path = write(tmp_path / "cams.h5", [image_cams("x", height=64, width=64)])
    with h5py.File(path) as file:
        chunk = file["x/high_res"].id.get_chunk_info(0)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(damaged)
    with CamStoreReader([path]) as reader, pytest.raises(UserError, match="image 'x' are damaged"):
        reader.read("x")


def test_torch_is_not_imported():
    code = "import sys, wsss_core.files.cam_store, wsss_core.evaluation.score; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_maps_of_other_classes_than_the_data_sets_are_refused(tmp_path):
    path = write(tmp_path / "cams.h5", [image_cams("x")])
    with CamStoreReader([path]) as reader:
        reader.check_classes(CLASSES)
        for other in (CLASSES[::-1], CLASSES[:2]):
            with pytest.raises(UserError, match=r"cams\.h5: has class maps of the classes cat, .*the data set has"):
                reader.check_classes(other)


def test_a_file_is_read_where_locks_fail(tmp_path):
    """HDF5 would lock it; another lock on the same file refuses that, as some file systems refuse all."""
    path = tmp_path / "a.h5"
    write_cam_store(path, ["cat"], {}, [])
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)
        with CamStoreReader([path]) as reader:
            assert reader.classes == ("cat",)
