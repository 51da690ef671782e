"""Tests of ``dataset.on_fault``, of what is left out of an index, and of what is warned of."""

import logging
from pathlib import Path

import numpy as np
import pandas
import pytest

from tests.datasets.voc_tree import VocTree, cut_short, faults_of, indexed, masked, plant_faults, small_tree
from wsss_core.config.dataset import Splits, VocDataset
from wsss_core.datasets.faults import FaultKind


@pytest.fixture
def tree(tmp_path) -> VocTree:
    return small_tree(tmp_path / "voc")


def skipping(tree: VocTree) -> VocDataset:
    return tree.dataset.model_copy(update={"on_fault": "skip"})


def skipped(tree: VocTree, name: str = "skipped.csv") -> list[tuple[str, str, str]]:
    """Id, kind and file name of what is recorded."""
    table = pandas.read_csv(tree.root.parent / "made" / name, dtype=str, keep_default_na=False)
    assert list(table.columns) == ["image_id", "kind", "file", "detail"] and all(table["detail"])
    return [(row.image_id, row.kind, Path(row.file).name) for row in table.itertuples()]


def test_skip_goes_on_with_what_is_right(tree, caplog):
    """Of a tree with every kind of fault, the images without one are left, and all else is recorded."""
    planted = plant_faults(tree)
    index = indexed(tree, skipping(tree))
    assert index.split("train").image_ids == ["0001", "0002", "nan", "g", "0004"], "ids listed twice: the first place"
    assert index.split("val").image_ids == ["0005", "h"]
    of_images = [kind for kind in planted if "mask" not in str(kind)]
    recorded = skipped(tree)
    assert {kind for _, kind, _ in recorded} == {str(kind) for kind in (*of_images, FaultKind.NO_CLASS)}
    assert {image_id for image_id, _, _ in recorded} == {"a", "b", "c", "d", "e", "f", "g", "0004", "sub/i"}
    assert len(recorded) == 9
    assert "7 images are left out, listed in" in caplog.text
    assert not (tree.root.parent / "made" / "faults.csv").exists()


def test_skip_leaves_out_faulty_masks(tree, caplog):
    plant_faults(tree)
    masks = masked(tree, skipping(tree))
    assert list(masks) == ["0004", "h"]
    assert sorted(skipped(tree, "skipped_masks.csv")) == [
        ("0001", str(FaultKind.MASK_SIZE), "0001.png"),
        ("0002", str(FaultKind.MASK_VALUES), "0002.png"),
        ("0005", str(FaultKind.MISSING_MASK), "0005.png"),
        ("nan", str(FaultKind.BROKEN_MASK), "nan.png"),
    ]
    assert "4 images are not scored for their masks' faults" in caplog.text


def test_nothing_is_skipped_where_nothing_is_wrong(tree):
    masked(tree, skipping(tree))
    assert skipped(tree) == [] and skipped(tree, "skipped_masks.csv") == []


@pytest.mark.parametrize("what", ["root", "JPEGImages", "Annotations", "ImageSets", "list", "empty list", "same list"])
def test_skip_does_not_skip_what_is_wrong_with_the_whole_data_set(tree, what):
    dataset = skipping(tree)
    if what == "root":
        tree.root.rename(tree.root.with_name("elsewhere"))
    elif what == "list":
        tree.list("train").unlink()
    elif what == "empty list":
        tree.list("val").write_text("")
    elif what == "same list":
        dataset = dataset.model_copy(update={"splits": Splits(train="train", val="train")})
    else:
        (tree.root / what).rename(tree.root / "elsewhere")
    error = faults_of(lambda: indexed(tree, dataset))
    assert any(fault.kind in (FaultKind.LAYOUT, FaultKind.LIST) for fault in error.faults)
    assert {path.name for path in (tree.root.parent / "made").iterdir()} <= {"faults.csv", "faults.html"}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_that_nothing_is_left_of_stops_and_says_why(tree, split):
    for image_id in tree.lists[split]:
        cut_short(tree.image(image_id))
    error = faults_of(lambda: indexed(tree, skipping(tree)))
    kinds = [fault.kind for fault in error.faults]
    assert kinds == [FaultKind.BROKEN_IMAGE] * len(tree.lists[split]) + [FaultKind.LIST]
    assert f"no image is left in the split '{split}'" in str(error)
    assert {path.name for path in (tree.root.parent / "made").iterdir()} <= {"faults.csv", "faults.html"}


@pytest.mark.parametrize("on_fault", ["stop", "skip"])
def test_training_images_without_a_class_alone_stop(tree, on_fault):
    for image_id in tree.lists["train"]:
        tree.annotate(image_id, [])
    error = faults_of(lambda: indexed(tree, tree.dataset.model_copy(update={"on_fault": on_fault})))
    assert [fault.kind for fault in error.faults] == [FaultKind.NO_CLASS] * 3 + [FaultKind.LIST]


def test_training_images_without_a_class_are_left_out_and_recorded(tree, caplog):
    tree.annotate("0002", [], size=(3, 9))
    index = indexed(tree)
    assert index.image_ids == ["0001", "nan", "0004", "0005"]
    assert skipped(tree) == [("0002", str(FaultKind.NO_CLASS), "0002.xml")]
    reported = "1 of 3 train images, 1 left out of the training, by 'negatives: none' (such as '0002')"
    assert f"{tree.root}: images without any class: {reported}" in caplog.text


def test_validation_images_without_a_class_are_kept_and_warned_of(tree, caplog):
    tree.annotate("0005", [], size=(11, 4))
    index = indexed(tree)
    assert index.split("val").table["labels"].tolist() == ["cat;bird", ""]
    assert skipped(tree) == []
    assert "without any class: 1 of 2 val images, 1 scored anyway (such as '0005')" in caplog.text


def test_an_image_with_a_fault_is_not_reported_as_unlabelled_too(tree):
    tree.annotation("0002").unlink()
    indexed(tree, skipping(tree))
    assert skipped(tree) == [("0002", str(FaultKind.MISSING_ANNOTATION), "0002.xml")]


def test_warnings_name_files_and_are_reported_next_to_faults(tree, caplog):
    for number in range(10):
        tree.add(f"large{number}", ["cat"], "train", size=(40, 50))
    tree.write_lists()
    tree.image("0005").unlink()
    with caplog.at_level(logging.WARNING):
        faults_of(lambda: indexed(tree))
    reported = [message for message in caplog.messages if str(FaultKind.RARE_CLASS) in message]
    assert reported == [
        f"{tree.root}: {FaultKind.RARE_CLASS}: {tree.root}: 1 training images show 'dog'; "
        "a class is hardly learned from under 10 (and 1 more)"
    ]
    (tiny,) = [message for message in caplog.messages if str(FaultKind.TINY_IMAGE) in message]
    assert f"{tree.image('0001')}: is 6 high and 8 wide" in tiny and "(and 3 more)" in tiny


def test_a_repaired_data_set_leaves_no_list_of_faults(tree):
    image = tree.image("0005")
    image.rename(image.with_name("away"))
    tree.write_mask("0001", np.zeros((2, 2), np.uint8))
    faults_of(lambda: indexed(tree))
    table = tree.root.parent / "made" / "faults.csv"
    assert len(pandas.read_csv(table)) == 2
    image.with_name("away").rename(image)
    indexed(tree)
    assert not table.exists()
    faults_of(lambda: masked(tree))
    assert pandas.read_csv(table)["kind"].tolist() == [str(FaultKind.MASK_SIZE)]


def test_difficult_objects_can_be_left_out(tree):
    easy = tree.dataset.model_copy(update={"difficult": False})
    index = indexed(tree)
    labels = dict(zip(index.image_ids, index.table["labels"], strict=True))
    assert (labels["0001"], labels["0004"]) == ("cat;dog", "cat;bird"), "all count by default, as for the authors"
    index = indexed(tree, easy)  # every second object is difficult
    labels = dict(zip(index.image_ids, index.table["labels"], strict=True))
    assert (labels["0001"], labels["0004"]) == ("dog", "cat")
    assert skipped(tree) == []


def test_an_image_with_difficult_objects_alone_shows_nothing_then(tree):
    text = tree.annotation("0002").read_text().replace("<difficult>0", "<difficult> 1 ")
    tree.annotation("0002").write_text(text)
    assert "0002" in indexed(tree).image_ids
    assert "0002" not in indexed(tree, tree.dataset.model_copy(update={"difficult": False})).image_ids
    assert skipped(tree) == [("0002", str(FaultKind.NO_CLASS), "0002.xml")]


def test_a_class_that_only_difficult_objects_have_need_not_be_known_then(tree):
    tree.annotate("0005", ["dog", "cow"], size=(11, 4))
    (fault,) = faults_of(lambda: indexed(tree)).faults
    assert fault.kind == FaultKind.UNKNOWN_CLASS
    assert "0005" in indexed(tree, tree.dataset.model_copy(update={"difficult": False})).image_ids
