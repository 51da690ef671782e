"""Tests of ``wsss_core.datasets.voc.voc``: every fault of a data set is found and reported at once."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

from tests.datasets.voc_tree import VocTree, cut_short, faults_of, index_into, indexed, plant_faults, small_tree
from wsss_core.config.dataset import Dataset, Splits, VocDataset
from wsss_core.datasets.faults import DatasetFaults, Fault, FaultKind


@pytest.fixture
def tree(tmp_path) -> VocTree:
    return small_tree(tmp_path / "voc")


def only_fault(tree: VocTree, kind: FaultKind, dataset: Dataset | None = None) -> Fault:
    """The one fault of the tree, checked to be of ``kind`` and to be reported in the message."""
    error = faults_of(lambda: indexed(tree, dataset))
    assert [fault.kind for fault in error.faults] == [kind], str(error)
    assert str(error).startswith(f"1 fault in the data set {tree.root}:\n\n{kind} (1):\n")
    assert f"  {error.faults[0].file}: {error.faults[0].text}" in str(error)
    assert {path.name for path in (tree.root.parent / "made").iterdir()} <= {"faults.csv", "faults.html"}
    return error.faults[0]


def test_missing_root(tmp_path):
    dataset = VocDataset(root=tmp_path / "no")
    error = faults_of(lambda: index_into(tmp_path / "made", tmp_path / "no", dataset))
    assert len(error.faults) == 1
    assert f"{tmp_path / 'no'}: does not exist; expected a folder that holds JPEG" in str(error)
    (tmp_path / "no").write_text("")
    error = faults_of(lambda: index_into(tmp_path / "made", tmp_path / "no", dataset))
    assert "is a file" in str(error)


def test_root_one_folder_too_high(tree):
    root = tree.root.parent
    error = faults_of(lambda: index_into(root / "made", root, tree.dataset))
    assert {fault.kind for fault in error.faults} == {FaultKind.LAYOUT}
    assert {Path(fault.file).name for fault in error.faults} == {
        "JPEGImages",
        "Annotations",
        "Segmentation",
    }
    assert f"{tree.root / 'JPEGImages'} exists: is 'root' one folder too high?" in str(error)


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations"])
def test_missing_folder_is_one_fault(tree, folder):
    (tree.root / folder).rename(tree.root / "elsewhere")
    fault = only_fault(tree, FaultKind.LAYOUT)
    assert fault.file == str(tree.root / folder)
    assert "expected a folder with the" in fault.detail


def test_missing_folder_of_lists(tree):
    (tree.root / "ImageSets").rename(tree.root / "elsewhere")
    assert "lists of image ids" in only_fault(tree, FaultKind.LAYOUT).detail


def test_missing_list(tree):
    tree.list("val").rename(tree.list("valid"))
    fault = only_fault(tree, FaultKind.LAYOUT)
    assert fault.file == str(tree.list("val"))
    assert "the val images, one id a line (lists there: train, valid)" in fault.detail


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf"])
def test_empty_list(tree, content):
    tree.list("val").write_bytes(content)
    assert "is empty" in only_fault(tree, FaultKind.LIST).detail


def test_list_of_another_encoding(tree):
    tree.list("val").write_bytes(b"\xff\xfe0\x001\x00")
    assert "UTF-8" in only_fault(tree, FaultKind.LIST).detail


def test_one_list_for_both_splits(tree):
    dataset = tree.dataset.model_copy(update={"splits": Splits(train="train", val="train")})
    assert "list of both splits" in only_fault(tree, FaultKind.LIST, dataset).detail


@pytest.mark.parametrize(
    "line",
    ["/JPEGImages/0001.jpg /SegmentationClass/0001.png", "sub/0001", "a\\b", "..", ".", "a\x00b"],
)
def test_unusable_id(tree, line):
    tree.lists["train"].append(line)
    tree.write_lists()
    fault = only_fault(tree, FaultKind.IMAGE_ID)
    assert fault.detail.startswith(f"line 4 is {line!r}; expected only the name of the image")


def test_repeated_id(tree):
    tree.lists["train"] += ["0001", "0001"]
    tree.write_lists()
    fault = only_fault(tree, FaultKind.REPEATED_ID)
    assert fault.file == str(tree.list("train"))
    assert "'0001' is in lines 1, 4, 5" in fault.detail


def test_id_in_both_splits(tree):
    tree.lists["val"].append("0001")
    tree.write_lists()
    fault = only_fault(tree, FaultKind.SHARED_ID)
    assert fault.file == str(tree.list("val"))
    assert "'0001' is also in train.txt" in fault.detail


def test_missing_image(tree):
    tree.image("0002").unlink()
    fault = only_fault(tree, FaultKind.MISSING_IMAGE)
    assert fault.file == str(tree.image("0002"))
    assert fault.detail == "add the image or remove '0002' from its list"


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png"])
def test_image_of_another_suffix(tree, suffix):
    tree.image("0002").rename(tree.image("0002").with_suffix(suffix))
    assert f"'0002{suffix}' is there" in only_fault(tree, FaultKind.MISSING_IMAGE).detail


def test_id_with_suffix(tree):
    tree.lists["train"][1] = "0002.jpg"
    tree.annotation("0002").rename(tree.annotation("0002.jpg"))
    tree.write_lists()
    assert "'0002.jpg' is there" in only_fault(tree, FaultKind.MISSING_IMAGE).detail


def test_overlong_id_is_a_missing_file(tree):
    tree.lists["train"].append("x" * 300)
    tree.write_lists()
    kinds = {fault.kind for fault in faults_of(lambda: indexed(tree)).faults}
    assert kinds == {FaultKind.MISSING_IMAGE, FaultKind.MISSING_ANNOTATION}


def test_truncated_image(tree):
    cut_short(tree.image("0002"))
    fault = only_fault(tree, FaultKind.BROKEN_IMAGE)
    assert fault.file == str(tree.image("0002"))
    assert fault.detail.startswith("is truncated or damaged")


def test_truncated_image_still_gives_its_size_to_the_mask_check(tree):
    Image.effect_noise((90, 60), 100).save(tree.image("0002"))
    cut_short(tree.image("0002"))
    tree.write_mask("0002", np.zeros((90, 60), dtype=np.uint8))
    kinds = [fault.kind for fault in faults_of(lambda: indexed(tree)).faults]
    assert kinds == [FaultKind.BROKEN_IMAGE, FaultKind.MASK_SIZE]


def test_missing_annotation(tree):
    tree.annotation("0002").unlink()
    assert only_fault(tree, FaultKind.MISSING_ANNOTATION).file == str(tree.annotation("0002"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<annotation><object>",
        b"\x00\x01",
        b"<?xml version='1.0' encoding='no-such'?><annotation/>",
        b"<annotation><object><name>cat</name></object><object/></annotation>",
        b"<annotation><object><name> </name></object></annotation>",
    ],
)
def test_broken_annotation(tree, content):
    tree.annotation("0002").write_bytes(content)
    assert only_fault(tree, FaultKind.BROKEN_ANNOTATION).file == str(tree.annotation("0002"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("brid", "did you mean 'bird'?"),
        ("DOG", "did you mean 'dog'?"),
        ("tvmonitor", "add it to 'classes'"),
    ],
)
def test_unknown_class(tree, name, advice):
    tree.annotate("0002", [name], size=(3, 9))
    fault = only_fault(tree, FaultKind.UNKNOWN_CLASS)
    assert fault.file == str(tree.annotation("0002"))
    assert fault.detail == f"{name!r} is not in the class list ({advice})"


def test_each_unknown_class_is_reported_before_its_repetitions(tree):
    tree.annotate("0001", ["cow"])
    tree.annotate("0002", ["cow"], size=(3, 9))
    tree.annotate("0005", ["sheep"], size=(11, 4))
    error = faults_of(lambda: indexed(tree))
    assert [Path(fault.file).stem for fault in error.faults] == ["0001", "0005", "0002"]


def test_every_fault_at_once(tree):
    """One message names every fault, so that one round of repairs is enough."""
    planted = plant_faults(tree)
    error = faults_of(lambda: indexed(tree))
    message = str(error)
    assert {fault.kind for fault in error.faults} == set(planted)
    for kind, (file, words) in planted.items():
        assert f"\n\n{kind} (1):\n  {file}: " in message
        assert words in message
    assert message.startswith("12 faults in the data set")
    made = tree.root.parent / "made"
    assert {path.name for path in made.iterdir()} <= {"faults.csv", "faults.html"}
    table = pandas.read_csv(made / "faults.csv")
    assert set(table["kind"]) == {str(kind) for kind in planted}
    assert set(table["file"]) == {str(file) for file, _ in planted.values()}


def test_faults_of_lists_and_folders_at_once(tree):
    """What cannot be planted beside the others: it hides the images they are about."""
    (tree.root / "Annotations").rename(tree.root / "elsewhere")
    tree.list("train").write_text("")
    tree.list("val").write_text("0004\n0005\ngone\n")
    tree.mask("0005").unlink()
    tree.write_mask("0004", np.full((1, 1), 9, dtype=np.uint8))
    kinds = [fault.kind for fault in faults_of(lambda: indexed(tree)).faults]
    assert kinds == [
        FaultKind.LAYOUT,
        FaultKind.LIST,
        FaultKind.MISSING_IMAGE,
        FaultKind.MISSING_MASK,
        FaultKind.MISSING_MASK,
        FaultKind.MASK_SIZE,
        FaultKind.MASK_VALUES,
    ]


def test_long_lists_of_faults_are_capped_in_the_message_only(tree):
    tree.lists["train"] += [f"gone{number:03}" for number in range(70)]
    tree.write_lists()
    error = faults_of(lambda: indexed(tree))
    assert len(error.faults) == 140
    assert len(re.findall(r"gone\d+\.jpg: ", str(error))) == 50
    assert len(re.findall(r"gone\d+\.xml: ", str(error))) == 50
    table = tree.root.parent / "made/faults.csv"
    assert str(error).count("... and 20 more") == 2 and f"All of them, as a table: {table}" in str(error)
    assert len(pandas.read_csv(table)) == 140


def test_the_message_mentions_skipping_where_that_would_help(tree):
    advice = "continue without these images: 'dataset.on_fault: skip'"
    tree.image("0002").unlink()
    assert str(faults_of(lambda: indexed(tree))).endswith(f"\n\nFix them, or {advice}.")
    tree.list("val").unlink()
    assert advice not in str(faults_of(lambda: indexed(tree)))


def test_faults_survive_pickling():
    fault = Fault(FaultKind.LIST, "train.txt", "is empty")
    faults = DatasetFaults("the data set x", [fault] * 3, 2, "faults.csv", True)
    error = pickle.loads(pickle.dumps(faults))
    assert error.faults == [fault] * 3 and str(error) == str(faults)
    assert "train.txt: is empty" in str(error)
