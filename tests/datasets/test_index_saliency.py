"""Saliency maps are checked like masks: all faults at once, with their files and images."""

import logging

import numpy as np
import pytest
from PIL import Image

from wsss_core.datasets.faults import DatasetFaults, FaultKind
from wsss_core.datasets.images import read_saliency_map
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.index_saliency import index_saliency, read_saliency_table
from wsss_core.errors import UserError

COLUMNS = {
    "image_id": ["one", "a/two", "three", "seen"],
    "split": ["train", "train", "train", "val"],
    "image": ["none.jpg"] * 4,
    "height": [4] * 4,
    "width": [6] * 4,
    "labels": ["cat", "dog", "", "cat"],
}
INDEX = DatasetIndex(("cat", "dog"), COLUMNS)
MAP = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)


def write(path, values=MAP, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    for name in ("one", "a/two", "three"):
        write(tmp_path / f"maps/{name}.png")
    return tmp_path / "maps"


@pytest.fixture
def table(tmp_path):
    return tmp_path / "made/saliency.csv"


def faults_of(folder, table, index=INDEX):
    with pytest.raises(DatasetFaults) as reported:
        index_saliency(folder, index, table)
    assert not table.exists() and table.with_name("faults.csv").exists()
    return reported.value


@pytest.mark.parametrize("threads", [1, 2])
def test_right_maps_are_listed_where_they_are(folder, table, threads):
    index_saliency(folder, INDEX, table, threads)
    found = read_saliency_table(table)
    assert list(found) == ["one", "a/two", "three"]  # one of each training image; validation images need none
    assert found["a/two"] == folder / "a/two.png"
    np.testing.assert_array_equal(read_saliency_map(found["one"]), MAP)


def test_the_table_differs_where_a_map_does_and_only_there(folder, table):
    index_saliency(folder, INDEX, table)
    before = table.read_bytes()
    (folder / "one.png").touch()
    write(folder / "three.png", MAP, compress_level=0)
    index_saliency(folder, INDEX, table)
    assert table.read_bytes() == before  # other bytes, the same pixels
    write(folder / "three.png", MAP[::-1].copy())
    index_saliency(folder, INDEX, table)
    lines, old = table.read_text().splitlines(), before.decode().splitlines()
    assert [one == other for one, other in zip(lines, old, strict=True)] == [True, True, True, False]


def test_all_faults_are_reported_by_name(folder, table):
    (folder / "three.png").unlink()
    write(folder / "one.png", MAP.T.copy())
    (folder / "a/two.png").write_bytes(b"nothing")
    error = faults_of(folder, table)
    kinds = {fault.image_id: fault.kind for fault in error.faults}
    assert kinds == {
        "one": FaultKind.SALIENCY_SIZE,
        "a/two": FaultKind.BROKEN_SALIENCY,
        "three": FaultKind.MISSING_SALIENCY,
    }
    for part in (
        f"{folder}/one.png: is 6 high and 4 wide; its image, upright, is 4 high and 6 wide",
        f"{folder}/three.png: 'three': this training image has no saliency map; each needs one",
        f"{folder}/a/two.png: ",
    ):
        assert part in str(error)
    write(folder / "three.png")
    write(folder / "one.png")
    write(folder / "a/two.png")
    index_saliency(folder, INDEX, table)
    assert not table.with_name("faults.csv").exists()


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (
            lambda path: Image.fromarray(MAP).convert("P").save(path),
            "has pixels of kind P; a saliency map is a PNG with 8-bit grey",
        ),
        (lambda path: write(path, MAP.astype(np.uint16) * 257), "has pixels of kind I;16"),
        (lambda path: write(path, np.stack([MAP] * 3, axis=2)), "has pixels of kind RGB; a saliency map is a PNG"),
        (lambda path: write(path, MAP > 9), "has pixels of kind 1; a saliency map is a PNG"),
        (lambda path: write(path, MAP, format="JPEG"), "is a JPEG file; a saliency map is a PNG with 8-bit grey"),
        (lambda path: path.write_bytes(b"%PDF-1.7"), "a saliency map is a PNG file"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "truncated or damaged"),
    ],
    ids=["palette", "16 bits", "colours", "1 bit", "jpeg", "document", "cut short"],
)
def test_what_is_no_8_bit_grey_png_is_reported(folder, table, save, words):
    save(folder / "one.png")
    (fault,) = faults_of(folder, table).faults
    assert fault.kind == FaultKind.BROKEN_SALIENCY and fault.image_id == "one" and words in fault.detail


def test_maps_from_0_to_1_are_reported(folder, table):
    for path in folder.rglob("*.png"):
        write(path, (MAP > 99).astype(np.uint8))
    (fault,) = faults_of(folder, table).faults
    assert "no map has a value above 1; a saliency map goes from 0 (background) to 255 (salient)" in fault.detail


def test_a_file_of_another_kind_with_an_images_name_is_reported(folder, table):
    (folder / "one.png").unlink()
    write(folder / "one.jpg")
    (fault,) = faults_of(folder, table).faults
    assert fault.file == str(folder / "one.jpg") and "is a JPEG file; a saliency map is a PNG" in fault.detail
    write(folder / "one.png")
    index_saliency(folder, INDEX, table)  # of two files of one name the PNG is the map
    assert read_saliency_table(table)["one"] == folder / "one.png"


def test_maps_of_no_image_are_warned_of(folder, table, caplog):
    write(folder / "seen.png")
    index_saliency(folder, INDEX, table)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    write(folder / "nobody.png", np.zeros((2, 2), np.uint8))
    index_saliency(folder, INDEX, table)
    assert f"{folder}/nobody.png: belongs to no image (1 files like it)" in caplog.text


def test_a_folder_that_is_missing_lacks_all_maps(tmp_path, table):
    faults = faults_of(tmp_path / "nowhere", table).faults
    assert [fault.image_id for fault in faults] == ["one", "a/two", "three"]


def test_maps_of_shrunken_images_are_shrunk_with_them(folder, table):
    original = {"original_image": ["none.jpg"] * 4, "original_height": [8, 4, 8, 4], "original_width": [12, 6, 12, 6]}
    index = DatasetIndex(("cat", "dog"), {**COLUMNS, **original})
    large = np.kron(MAP, np.ones((2, 2))).astype(np.uint8)
    write(folder / "one.png", large)
    error = faults_of(folder, table, index)
    assert "is 4 high and 6 wide; its image, upright, is 8 high and 12 wide, before it is shrunk" in str(error)
    write(folder / "three.png", 255 - large)
    index_saliency(folder, index, table)
    found = read_saliency_table(table)
    assert found["a/two"] == folder / "a/two.png" and found["one"].is_relative_to(table.parent)
    for image_id, expected in (("one", MAP), ("three", 255 - MAP)):
        small = read_saliency_map(found[image_id])
        assert small.shape == (4, 6) and np.abs(small.astype(int) - expected).max() < 30
    assert read_saliency_map(folder / "one.png").shape == (8, 12)  # which stays as it is


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_id,label_map\none,one.png\n", "is not a list of saliency maps"),
        (
            "image_id,saliency_map,content\none,one.png,0\none,one.png,0\n",
            "row 3 lacks an image or a file, or",
        ),
        ("image_id,saliency_map,content\none,,0\n", "row 2 lacks"),
    ],
)
def test_a_damaged_table_is_reported(tmp_path, text, words):
    (tmp_path / "saliency.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_saliency_table(tmp_path / "saliency.csv")


def test_two_files_of_one_name_without_a_png_are_both_named(folder, table):
    (folder / "one.png").unlink()
    for name in ("one.jpg", "one.jpeg"):
        write(folder / name)
    (fault,) = faults_of(folder, table).faults
    assert fault.kind == FaultKind.BROKEN_SALIENCY and fault.image_id == "one"
    assert f"'{folder}/one.jpeg' and '{folder}/one.jpg' have the same id" in fault.detail
