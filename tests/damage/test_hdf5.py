"""HDF5 files that are not as the product writes them: another file's bytes, wrong types and shapes, circles."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader, write_cam_store
from wsss_core.files.climb_store import read_climbs, write_climbs
from wsss_core.files.image_cams import ImageCams
from wsss_core.files.probability_store import merge_probabilities, read_probabilities, write_probabilities

from .artifacts import CLASSES, SIZE, random_cams, random_climb


@pytest.fixture
def maps(tmp_path):
    """A sound file of two images; the tests change the one called ``x``."""
    path = tmp_path / "maps.h5"
    write_cam_store(path, CLASSES, {}, [random_cams("x"), random_cams("other")])
    return path


@pytest.fixture
def elsewhere(tmp_path):
    """Another file, whose bytes must not come back as pixels."""
    path = tmp_path / "secret.h5"
    write_cam_store(path, CLASSES, {}, [random_cams("x")])
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused, CamStoreReader([path]) as reader:
        reader.read("x")
    assert str(path) in str(refused.value)
    return str(refused.value)


def other_is_read(path: Path) -> None:
    with CamStoreReader([path]) as reader:
        assert reader.read("other").cam.shape == (2, 3, 5)


def in_place_of(group, name, **made):
    del group[name]
    group.create_dataset(name, **made)


def external_storage(file, elsewhere):
    raw = elsewhere.with_name("raw")
    raw.write_bytes(bytes(1000))
    in_place_of(file["x"], "cam", shape=(2, 3, 5), dtype="f4", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])


def virtual(file, elsewhere):
    layout = h5py.VirtualLayout((2, 3, 5), "f2")
    layout[:] = h5py.VirtualSource(str(elsewhere), "x/cam", (2, 3, 5))
    del file["x/cam"]
    file["x"].create_virtual_dataset("cam", layout)


def relinked(name, link):
    def change(file, elsewhere):
        del file[name]
        file[name] = link(file, elsewhere)

    return change


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (relinked("x", lambda file, other: h5py.ExternalLink(str(other), "/x")), "'x' is a link"),
        (relinked("x/cam", lambda file, other: h5py.ExternalLink(str(other), "/x/cam")), "'cam' is a link"),
        (relinked("x/high_res", lambda file, other: h5py.ExternalLink(str(other), "/x/high_res")), "is a link"),
        (relinked("x", lambda file, other: h5py.SoftLink("/other")), "'x' is a link"),
        (relinked("x/cam", lambda file, other: h5py.SoftLink("/x/cam")), "'cam' is a link"),
        (relinked("x", lambda file, other: file["/"]), "is not an HDF5 dataset"),
        (relinked("x/cam", lambda file, other: file["/"]), "'cam' is not an HDF5 dataset"),
        (relinked("x/cam", lambda file, other: file["/x"]), "'cam' is not an HDF5 dataset"),
        (relinked("x", lambda file, other: np.arange(3)), "'x' is not an HDF5 group"),
        (relinked("x/cam", lambda file, other: np.dtype("f4")), "'cam' is not an HDF5 dataset"),
        (external_storage, "'cam' are in another file"),
        (virtual, "'cam' are in another file"),
    ],
)
def test_what_lies_elsewhere_is_not_followed(change, reported, maps, elsewhere):
    with h5py.File(maps, "a") as file:
        change(file, elsewhere)
    assert reported in refusal(maps) and "delete the file and make it again" in refusal(maps)
    other_is_read(maps)
    with CamStoreReader([maps]) as reader, h5py.File(maps.with_name("copy.h5"), "w") as copy:
        with pytest.raises(UserError, match="the maps of image 'x' are damaged"):
            reader.copy("x", copy)
        assert not list(copy)


def cam(data):
    return lambda file: in_place_of(file["x"], "cam", data=data)


def attribute(name, value, of="x"):
    return lambda file: file[of].attrs.__setitem__(name, value)


def without(name, attribute=None):
    return lambda file: file[name].attrs.__delitem__(attribute) if attribute else file.__delitem__(name)


GOOD = np.full((2, 3, 5), 0.5, np.float32)


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (cam(GOOD.astype(int)), "values of type int64"),
        (cam(GOOD.astype(complex)), "values of type complex128"),
        (cam(GOOD.astype("S4")), "values of type |S4"),
        (cam(np.full((2, 3, 5), "x", h5py.string_dtype())), "values of type object"),
        (cam(np.zeros((2, 3, 5), [("a", "f4"), ("b", "f4")])), "values of type [('a'"),
        (cam(h5py.Empty("f4")), "'cam' has the shape None"),
        (cam(GOOD[0]), "'cam' has the shape (3, 5)"),
        (cam(GOOD[:1]), "'cam' has the shape (1, 3, 5); it must be (2, 3, 5)"),
        (cam(GOOD[:, :2]), "'cam' has the shape (2, 2, 5)"),
        (cam(np.where(np.arange(5) == 2, np.nan, GOOD)), "'cam' has values that are not finite"),
        (cam(np.where(np.arange(5) == 2, np.inf, GOOD)), "'cam' has values that are not finite"),
        (cam(-GOOD), "'cam' has values from -0.5 to -0.5; they must be in [0, 1]"),
        (cam(255 * GOOD), "they must be in [0, 1]"),
        (lambda file: in_place_of(file["x"], "high_res", data=GOOD), "'high_res' has the shape (2, 3, 5)"),
        (lambda file: file["x"].create_dataset("background", data=GOOD[0, 1:]), "'background' has the shape"),
        (lambda file: in_place_of(file["x"], "classes", data=[0, 3]), "its classes are [0, 3]"),
        (lambda file: in_place_of(file["x"], "classes", data=[-1, 1]), "its classes are [-1, 1]"),
        (lambda file: in_place_of(file["x"], "classes", data=[1, 0]), "ascending"),
        (lambda file: in_place_of(file["x"], "classes", data=[0.0, 1.0]), "values of type float64"),
        (lambda file: in_place_of(file["x"], "classes", data=1), "'classes' has the shape ()"),
        (attribute("height", 13), "'cam' has the shape (2, 3, 5); it must be (2, 4, 5)"),
        (attribute("height", "12"), "'height' is not a whole number"),
        (attribute("height", 12.0), "'height' is not a whole number"),
        (attribute("width", [20, 20]), "'width' is not a whole number"),
        (attribute("width", 0), "no image is 12 high and 0 wide"),
        (attribute("width", 2**40), "no image is 12 high"),
        (attribute("stride", 0, "/"), "a cell of its maps for 0 pixels"),
        (attribute("stride", 10**6, "/"), "a cell of its maps for 1000000 pixels"),
        (attribute("stride", "four", "/"), "'stride' is not a whole number"),
        (without("x/cam"), "cam"),
        (without("x/classes"), "classes"),
        (without("x", "height"), "height"),
        (attribute("format", [1, 2], "/"), "not one of class maps"),
        (attribute("format", 7, "/"), "not one of class maps"),
        (attribute("version", [1, 1], "/"), "has version [1 1]"),
        (attribute("version", "1", "/"), "has version 1 of the format; this program reads 1"),
        (attribute("classes", "cat", "/"), "'classes' is not a list of names"),
        (attribute("classes", [1, 2], "/"), "'classes' is not a list of names"),
        (attribute("classes", ["cat", "cat"], "/"), "'classes' has a name twice"),
        (without("/", "classes"), "classes"),
    ],
)
def test_what_is_no_map_is_refused(change, reported, maps):
    with h5py.File(maps, "a") as file:
        change(file)
    assert reported in refusal(maps)


def test_far_more_values_than_are_stored_are_not_made(maps):
    with h5py.File(maps, "a") as file:
        in_place_of(file["x"], "high_res", shape=(2, 16384, 16384), dtype="f4", chunks=(1, 1024, 1024))
    assert "of which hardly anything is stored" in refusal(maps)


def test_texts_that_go_round_in_circles_are_refused(maps):
    """HDF5 2.0.0 would never come back: a text of no length leads to itself."""
    whole = maps.read_bytes()
    for change in (bytes(48), b"\0\0" + bytes(6) + b"\xff" * 8, b"\1\0" + bytes(6) + b"\xf0" + b"\xff" * 7):
        data = bytearray(whole)
        first = data.index(b"GCOL") + 16
        data[first : first + len(change)] = change
        maps.write_bytes(data)
        assert "is damaged" in refusal(maps) or "not a whole HDF5 file" in refusal(maps)


def test_what_the_system_does_not_let_us_read_is_not_called_damaged(maps, monkeypatch):
    def refuse(descriptor, buffers, offset):
        raise OSError(5, "Input/output error")

    with CamStoreReader([maps]) as reader:
        monkeypatch.setattr(os, "preadv", refuse)
        with pytest.raises(UserError, match=r"maps\.h5: cannot be read \(Input/output error\)"):
            reader.read("x")
    with pytest.raises(UserError, match=r"maps\.h5: cannot be read \(Input/output error\)"):
        CamStoreReader([maps])
    with pytest.raises(UserError, match="cannot be read"):
        CamStoreReader([maps.parent])


def test_files_are_closed(maps):
    before = len(os.listdir("/proc/self/fd"))
    for path in (maps, maps, Path(__file__)):
        try:
            with CamStoreReader([path]) as reader:
                reader.read("x")
        except UserError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("values", "reported"), [(np.nan, "not finite"), (-0.1, "from -0.1 to 0.5"), (1.2, "from 0.5 to 1.2")]
)
def test_maps_that_are_none_are_not_written(values, reported, tmp_path):
    maps = GOOD.copy()
    maps[1, 1, 2] = values
    image = ImageCams("x", np.arange(2), maps, None, *SIZE)
    with pytest.raises(UserError, match=f"image 'x': its class maps are not written, as 'cam' has values .*{reported}"):
        write_cam_store(tmp_path / "maps.h5", CLASSES, {}, [image])
    assert not list(tmp_path.iterdir())


def climb_with(**changed):
    def change(file):
        for name, value in changed.items():
            in_place_of(file["x"], name, data=value)

    return change


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (climb_with(classes=[0, 3]), "its classes are"),
        (climb_with(maps=np.full((2, 3, 3, 5), np.nan, "f4")), "not finite"),
        (climb_with(maps=np.full((2, 3, 3, 5), -1, "f4")), "negative"),
        (climb_with(maps=np.zeros((2, 0, 3, 5), "f4")), "'maps' has the shape"),
        (climb_with(scores=np.zeros((2, 4), "f4")), "'scores' has the shape"),
        (climb_with(images=np.zeros((2, 3, 6, 10, 4), "u1")), "'images' has the shape"),
        (climb_with(images=np.zeros((2, 3, 6, 10, 3), "u2")), "type uint16"),
        (attribute("height", 0), "'maps' has the shape"),
        (lambda file: relinked("x", lambda file, other: h5py.SoftLink("/y"))(file, None), "'x' is a link"),
        (lambda file: relinked("x/maps", lambda file, other: file["/"])(file, None), "'maps' is not an HDF5 dataset"),
    ],
)
def test_what_is_no_climb_is_refused(change, reported, tmp_path):
    path = tmp_path / "climbs.h5"
    write_climbs(path, CLASSES, {}, [random_climb("x")])
    assert read_climbs(path)[1][0].image_id == "x"
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(UserError) as refused:
        read_climbs(path)
    assert str(path) in str(refused.value) and reported in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda file: in_place_of(file["x"], "probabilities", data=np.full((3, 4, 4), 0.3, "f2")), "4 classes"),
        (lambda file: in_place_of(file["x"], "probabilities", data=np.full((4, 4, 4), np.nan, "f2")), r"nan, not in"),
        (lambda file: in_place_of(file["x"], "probabilities", data=np.full((4, 4, 4), -1, "f2")), r"-1 and -1, not"),
        (lambda file: relinked("x", lambda file, other: h5py.ExternalLink("/etc/passwd", "/x"))(file, None), "a link"),
        (without("x/probabilities"), "probabilities"),
    ],
)
def test_what_is_no_probability_is_refused(change, reported, tmp_path):
    path = tmp_path / "probabilities.h5"
    write_probabilities(path, ("background", *CLASSES), [("x", np.full((4, 4, 4), 0.25))])
    assert read_probabilities(path, "x").shape == (4, 4, 4)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(UserError) as refused:
        read_probabilities(path, "x")
    assert str(path) in str(refused.value) and reported in str(refused.value)
    if reported == "a link":
        with pytest.raises(UserError, match="is a link"):
            merge_probabilities(tmp_path / "merged.h5", ("background", *CLASSES), [path])
        assert not (tmp_path / "merged.h5").exists()
