"""Folders that are named like splits."""

import re

import pytest

from wsss_core.datasets.folder.split_folders import splits_by_folder

from .folder_tree import FolderTree, splits_by_id


@pytest.mark.parametrize(
    "splits",
    [
        {"train/a": "train", "valid/b": "val", "test/c": "test"},
        {"Train/x/a": "train", "VAL/b": "val"},
        {"train2017/a": "train", "val_images/b": "val"},
        {"cat/training/a": "train", "dog/validation/b": "val"},
        {"train/train/a": "train", "valid/train/b": "val"},
        {"images/train/a": "train", "images/test/b": "test"},
    ],
)
def test_the_folders_say_the_splits(splits):
    assert splits_by_folder(splits).splits == splits


@pytest.mark.parametrize(
    "ids",
    [
        [],
        ["a"],
        ["train/a"],
        ["train/a", "b"],
        ["part_a/x", "testimony/y"],
        ["training_a/x"],
        ["contest/a", "strain/b", "valley/c"],
    ],
)
def test_folders_that_say_nothing(ids):
    found = splits_by_folder(ids)
    assert not found.splits and not found.why_not


@pytest.mark.parametrize(
    "ids, reported",
    [
        (["train/a", "val/b", "c"], r"'val' .* is not taken for one: 'c' \(1 like it\) is in no folder"),
        (["train/a", "holdout/b"], "'holdout' .* is in no folder named train"),
        (["val/a", "test/b"], "'test' .* there is none named train next to it"),
        (["imagesTr/a", "imagesTs/b"], "the folders 'imagesTr' and 'imagesTs' .* only folders named train, val"),
        (["trn/a", "tst/b"], "the folders 'trn' and 'tst'"),
        (["01_train/a", "02_test/b"], "'01_train' and '02_test'"),
        (["train_a/a", "train_b/a", "test_a/b"], "'train_a' and 'test_a'"),
        (["xray_train/a", "xray_test/b"], "'xray_train' and 'xray_test'"),
        (["x/xraytrain/a", "x/xraytest/b"], "'xraytrain' and 'xraytest'"),
        (["trainA/a", "validB/b", "c"], "'trainA' and 'validB'"),
        (["train_001", "test_001"], "the images 'train_001' and 'test_001'"),
        (["train/a", "x/test/b"], "none named train next to it, at the same depth"),
    ],
)
def test_why_folders_do_not_say_the_splits(ids, reported):
    found = splits_by_folder(ids)
    assert not found.splits
    assert re.search(reported, found.why_not)


def test_images_follow_their_folders_and_the_log_says_so(tmp_path, caplog):
    names = [f"{folder}/{i}.png" for folder in ("train", "valid", "test") for i in range(4)]
    tree = FolderTree(tmp_path / "mine").images(names).labels({name: ["cat"] for name in names})
    assert splits_by_id(tree.listing("train", "val", "test")) == {
        f"{folder}/{i}": split
        for folder, split in (("train", "train"), ("valid", "val"), ("test", "test"))
        for i in range(4)
    }
    assert "the folders' names say the splits: 4 train, 4 val, 4 test (test: neither trained on" in caplog.text


def test_without_a_folder_for_validation_some_training_images_become_it(tmp_path, caplog):
    names = [f"{folder}/{i}.png" for folder in ("train", "test") for i in range(12)]
    tree = FolderTree(tmp_path / "mine").images(names).labels({name: ["cat"] for name in names})
    splits = splits_by_id(tree.listing("train", "val"))
    assert set(splits.values()) == {"train", "val"} and all(name.startswith("train/") for name in splits)
    assert "val drawn from train" in caplog.text


def test_a_table_of_splits_counts_more(tmp_path):
    names = ["train/a.png", "val/b.png"]
    tree = FolderTree(tmp_path / "mine").images(names).labels({name: ["cat"] for name in names})
    tree.splits({"train/a.png": "val", "val/b.png": "train"})
    assert splits_by_id(tree.listing()) == {"train/a": "val", "val/b": "train"}


def test_folders_that_are_not_followed_and_a_column_that_is_not_looked_at_are_reported(tmp_path):
    tree = FolderTree(tmp_path / "mine").images(["train/a.png", "val/b.png", "c.png"])
    tree.table("labels.csv", [("image", "label", "split"), ("a.png", "cat", "val")])
    reported = "\n".join(warning.text for warning in tree.listing().warnings)
    assert "the folder 'val'" in reported and "To choose them, write splits.csv" in reported
    assert "the column 'split' is not used" in reported
