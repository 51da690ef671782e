"""Tests of ``wsss_core.datasets.index``."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsss_core.datasets.index import (
    DatasetIndex,
    read_index,
    write_index,
)
from wsss_core.datasets.label_maps import read_label_manifest, write_label_manifest
from wsss_core.errors import UserError

CLASSES = ("cat", "dog", "nan")


def index_of(rows: list[tuple[str, str, str]], classes: tuple[str, ...] = CLASSES) -> DatasetIndex:
    """An index from (image id, split, labels)."""
    table = pandas.DataFrame(
        [(i, split, f"data/{i}.jpg", 4, 5, labels) for i, split, labels in rows],
        columns=["image_id", "split", "image", "height", "width", "labels"],
    )
    return DatasetIndex(classes, table)


SMALL = index_of([("0012", "train", "cat;nan"), ("nan", "train", "dog"), ("NA", "val", "nan")])


def round_trip(index: DatasetIndex, folder: Path) -> DatasetIndex:
    write_index(index, folder / "index.csv", folder / "classes.json")
    return read_index(folder / "index.csv", folder / "classes.json")


def test_round_trip_keeps_ids_that_look_like_numbers_or_nothing(tmp_path):
    index = round_trip(SMALL, tmp_path / "new" / "folder")
    assert index.image_ids == ["0012", "nan", "NA"]
    assert index.classes == CLASSES
    assert index.image_paths[0] == Path("data/0012.jpg")
    assert index.table["height"].tolist() == [4, 4, 4]
    assert index.table["width"].dtype == np.int64
    pandas.testing.assert_frame_equal(index.table, SMALL.table)


def test_label_matrix(tmp_path):
    expected = [[True, False, True], [False, True, False], [False, False, True]]
    for index in (SMALL, round_trip(SMALL, tmp_path)):
        assert index.label_matrix.dtype == bool
        assert index.label_matrix.tolist() == expected


def test_image_without_label_is_a_row_of_false():
    assert index_of([("a", "train", "")]).label_matrix.tolist() == [[False] * 3]


def test_split_keeps_the_order():
    assert SMALL.split("train").image_ids == ["0012", "nan"]
    assert SMALL.split("val").image_ids == ["NA"]
    assert SMALL.split("val").table.index.tolist() == [0]
    assert len(SMALL.split("test")) == 0
    with pytest.raises(ValueError, match="no split 'tset'"):
        SMALL.split("tset")


@given(size=st.integers(0, 40), shards=st.integers(1, 50))
def test_shards_are_balanced_parts_in_order(size, shards):
    index = index_of([(str(i), "train", "cat") for i in range(size)])
    parts = [index.shard(k, shards) for k in range(shards)]
    assert [image_id for part in parts for image_id in part.image_ids] == index.image_ids
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert all(part.label_matrix.shape == (len(part), 3) for part in parts)


@pytest.mark.parametrize(("k", "n"), [(3, 3), (-1, 3), (0, 0)])
def test_no_such_shard(k, n):
    with pytest.raises(ValueError, match="no shard"):
        SMALL.shard(k, n)


def test_empty_index_round_trip(tmp_path):
    index = round_trip(index_of([]), tmp_path)
    assert len(index) == 0
    assert index.image_ids == []
    assert index.label_matrix.shape == (0, 3)


IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=";"), min_size=1, max_size=12)


@given(data=st.data(), ids=st.lists(IDS, unique=True, max_size=6), names=st.sets(NAMES, min_size=1))
@example(
    data=None,
    ids=["0012", "nan", "None", "1e5", "-0", " a ", 'q"', "a,b", "'", "#x"],
    names={"nan"},
)
@example(
    data=None,
    ids=["\u2028", "\ufeff", "é", "e\u0301", "🐈", '""', "TRUE", "a\\b"],
    names={"0", "00"},
)
def test_any_text_survives(tmp_path, data, ids, names):
    classes = tuple(names)
    rows = []
    for image_id in ids:
        shown = set(data.draw(st.sets(st.sampled_from(classes)))) if data else set(classes)
        rows.append((image_id, "train", ";".join(name for name in classes if name in shown)))
    index = index_of(rows, classes)
    read = round_trip(index, tmp_path)
    assert read.image_ids == ids
    assert read.classes == classes
    assert read.table["labels"].tolist() == [labels for _, _, labels in rows]
    assert np.array_equal(read.label_matrix, index.label_matrix)
    masks = {image_id: tmp_path / f"masks/{number}.png" for number, image_id in enumerate(ids)}
    write_label_manifest(masks, tmp_path / "masks.csv")
    assert list(read_label_manifest([tmp_path / "masks.csv"]).items()) == list(masks.items())


def test_same_index_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        round_trip(SMALL, tmp_path / folder)
    assert (tmp_path / "a/index.csv").read_bytes() == (tmp_path / "b/index.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["classes.json", "index.csv"]


def test_index_knows_no_masks(tmp_path):
    round_trip(SMALL, tmp_path)
    assert "mask" not in (tmp_path / "index.csv").read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such file"),
        ("", "it is damaged"),
        ("image_id,split\na,train\n", "it has no column 'image'"),
        ("image_id,split,image,height,width,labels\na,train,a.jpg,x,5,cat\n", "damaged"),
        ("image_id,split,image,height,width,labels\na,train,a.jpg,4,5,cat\nb,tra", r"damaged \(row 3 has 2 entries\)"),
        ('image_id,split,image,height,width,labels\n"a', "damaged"),
        ("image_id,split,image,height,width,labels\na,train,a.jpg,4,5,cow\n", "lacks.*'cow'"),
        ("image_id,split,image,height,width,labels\na,train,a.jpg,4,5,cat;d", "row 2 is cut off"),
        ("image_id,split,image,height,width,labels\na,trbin,a.jpg,4,5,cat\n", "'a' is in the split 'trbin'"),
        ("image_id,split,image,height,width,labels\na,train,a.jpg,-4,5,cat\n", "'-4' is no image's height"),
        (f"image_id,split,image,height,width,labels\na,train,a.jpg,4,{'9' * 5000},cat\n", "no image's height"),
        ("image_id,split,image,height,width,labels\na,train,,4,5,cat\n", "'a' has the file ''"),
        ("image_id,split,image,height,width,labels\n" + 2 * "a,train,a.jpg,4,5,cat\n", "image 'a' twice"),
    ],
)
def test_damaged_index_is_named(tmp_path, content, reason):
    (tmp_path / "classes.json").write_text(json.dumps(["cat"]))
    if content is not None:
        (tmp_path / "index.csv").write_text(content)
    with pytest.raises(UserError, match=rf"index\.csv: .*{reason}.*make it again"):
        read_index(tmp_path / "index.csv", tmp_path / "classes.json")


def test_missing_or_damaged_classes_are_named(tmp_path):
    round_trip(SMALL, tmp_path)
    nested = 100_000 * "["
    for content in ("[", nested, "3", "null", '"cat"', '{"cat": 1}', "[1]", "[]", '["cat", ""]', '["a", "a"]', b"\xff"):
        (tmp_path / "classes.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError, match=r"classes\.json: it is damaged"):
            read_index(tmp_path / "index.csv", tmp_path / "classes.json")
    (tmp_path / "classes.json").unlink()
    with pytest.raises(UserError, match=r"classes\.json: there is no such file"):
        read_index(tmp_path / "index.csv", tmp_path / "classes.json")


def test_import_leaves_torch_alone():
    code = "import sys, wsss_core.datasets.voc.voc; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
