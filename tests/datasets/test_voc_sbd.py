"""Tests of ``wsss_core.datasets.voc.sbd`` and ``voc_train_aug``: masks of SBD, and the list computed with it."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.datasets.sbd_tree import write_mat, write_png_masks, write_sbd
from tests.datasets.voc_tree import VocTree, cut_short, faults_of, index_into, indexed, masked
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.dataset import Creatures, Splits, VocDataset
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.index_masks import index_masks
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.voc.sbd import read_sbd_mask
from wsss_core.errors import UserError

SIZE = (6, 8)
FORMS = ["archive", "dataset", "png"]


def sbd_mask(value: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[1:4, 2:7] = value
    return mask


@pytest.fixture
def tree(tmp_path) -> VocTree:
    """VOC with train v1, v2 and val w1, w2; SBD's lists name v2, s1, s2 (train) and w2, s3 (val)."""
    tree = VocTree(tmp_path / "voc")
    for image_id, split in (("v1", "train"), ("v2", "train"), ("w1", "val"), ("w2", "val")):
        tree.add(image_id, ["cat"], split, mask=True)
    tree.write_lists()
    for image_id in ("s1", "s2", "s3"):  # VOC has images and annotations of them, and no list of segmentation
        tree.add(image_id, ["dog"], "train")
    tree.lists["train"] = ["v1", "v2"]
    return tree


def with_sbd(tree: VocTree, form: str = "archive", **settings) -> VocDataset:
    """Write SBD beside the tree and give the settings that use it."""
    masks = {image_id: sbd_mask(2) for image_id in ("v2", "s1", "s2", "w2", "s3")}
    folder = tree.root.parent / "sbd"
    if form == "png":
        write_png_masks(folder, masks)
    else:
        write_sbd(folder, {"train": ["s2", "v2", "s1"], "val": ["s3", "w2"]}, masks)
    sbd = folder / "dataset" if form == "dataset" else folder
    settings = {"splits": Splits(train="train_aug"), "sbd": sbd, **settings}
    return VocDataset(name="tree", root=tree.root, **{"classes": tree.classes, **settings})


@pytest.mark.parametrize("form", FORMS)
def test_train_aug_is_the_union_less_the_validation(tree, form):
    index = indexed(tree, with_sbd(tree, form))
    assert index.split("train").image_ids == ["s1", "s2", "s3", "v1", "v2"]
    assert index.split("val").image_ids == ["w1", "w2"]
    labels = dict(zip(index.image_ids, index.table["labels"], strict=True))
    assert labels["s1"] == "dog" and labels["v1"] == "cat", "labels come from the annotations"


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_vocs_where_there_are_and_else_sbds(tree, form):
    masks = masked(tree, with_sbd(tree, form))
    assert sorted(masks) == ["s1", "s2", "s3", "v1", "v2", "w1", "w2"]
    assert masks["v2"] == tree.mask("v2") and masks["w2"] == tree.mask("w2")
    np.testing.assert_array_equal(read_mask(masks["s1"]), sbd_mask(2))
    drawn = tree.root.parent / "made" / "drawn" / "s1.png"
    assert masks["s1"] == (tree.root.parent / "sbd" / "s1.png" if form == "png" else drawn)


def test_a_list_that_is_there_is_used_as_it_is(tree):
    tree.lists["train_aug"] = ["s2", "v1"]
    tree.write_lists()
    assert indexed(tree, with_sbd(tree)).split("train").image_ids == ["s2", "v1"]


def test_without_sbd_and_without_the_list_it_says_what_is_missing(tree):
    dataset = tree.dataset.model_copy(update={"splits": Splits(train="train_aug")})
    (fault,) = faults_of(lambda: indexed(tree, dataset)).faults
    assert (fault.kind, fault.file) == (FaultKind.LAYOUT, str(tree.list("train_aug")))
    assert "or 'dataset.sbd', the folder of SBD, from which it can be computed" in fault.detail
    assert "lists there: train, val" in fault.detail


def test_another_validation_list_is_left_out_of_it_too(tree):
    tree.lists["few"] = ["s3"]
    tree.write_lists()
    index = indexed(tree, with_sbd(tree, splits=Splits(train="train_aug", val="few")))
    assert index.split("train").image_ids == ["s1", "s2", "v1", "v2"]
    assert index.split("val").image_ids == ["s3"]


def test_every_list_that_is_missing_is_reported(tree):
    dataset = with_sbd(tree)
    for path in (tree.list("train"), tree.list("val"), dataset.sbd / "dataset/val.txt"):
        path.unlink()
    (dataset.sbd / "dataset/cls").rename(dataset.sbd / "masks")
    error = faults_of(lambda: indexed(tree, dataset))
    assert {fault.kind for fault in error.faults} == {FaultKind.LAYOUT}
    assert {Path(fault.file).name for fault in error.faults} == {"train.txt", "val.txt", "cls"}
    assert len(error.faults) == 4
    assert "VOC's list train, from which train_aug is computed" in str(error)


def test_faults_of_lists_are_reported_once(tree):
    dataset = with_sbd(tree)
    tree.list("val").write_text("w1\nsub/w2\n")
    (dataset.sbd / "dataset/train.txt").write_text("s1\ns1.mat/\n")
    error = faults_of(lambda: indexed(tree, dataset))
    assert [(fault.kind, Path(fault.file).parent.name) for fault in error.faults] == [
        (FaultKind.IMAGE_ID, "dataset"),
        (FaultKind.IMAGE_ID, "Segmentation"),
    ]


@pytest.mark.parametrize("what", ["nowhere", "file", "empty", "too high"])
def test_a_folder_that_is_no_sbd(tree, what):
    folder = tree.root.parent / "other"
    if what == "file":
        folder.write_text("")
    elif what != "nowhere":
        folder.mkdir()
    dataset = with_sbd(tree, sbd=folder)
    if what == "too high":
        os.rename(tree.root.parent / "sbd", folder / "benchmark_RELEASE")
    (fault,) = faults_of(lambda: indexed(tree, dataset)).faults
    assert (fault.kind, fault.file) == (FaultKind.LAYOUT, str(folder))
    words = {"nowhere": "does not exist", "file": "is a file", "empty": "holds no masks", "too high": "too high?"}
    assert words[what] in fault.detail and "SBD as it unpacks (dataset/cls/<id>.mat)" in fault.detail


def test_the_count_is_explained_where_it_differs(tree, caplog):
    for image_id in ("v1", "v2", "w1", "w2", "s1", "s2", "s3"):
        tree.annotate(image_id, ["cat"])
    dataset = with_sbd(tree, classes=VOC_CLASSES)
    with caplog.at_level(logging.WARNING):
        indexed(tree, dataset)
    (line,) = [message for message in caplog.messages if str(FaultKind.LIST_LENGTH) in message]
    assert "it has 5 images; complete VOC 2012 and SBD give 10,582" in line
    assert f"{tree.list('train')} has 2 instead of 1,464 (1,462 are missing)" in line
    assert f"{dataset.sbd / 'dataset/train.txt'} has 3 instead of 8,498 (8,495 are missing)" in line
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        indexed(
            tree, dataset.model_copy(update={"sbd": write_png_masks(tree.root.parent / "png", {"s1": sbd_mask(1)})})
        )
    assert "without images of VOC's lists, has 1 instead of 9,118 (9,117 are missing)" in caplog.text
    tree.lists["train_aug"] = ["v1", "s1"]
    tree.write_lists()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        indexed(tree, dataset)
    assert f"{tree.list('train_aug')}: has 2 images; VOC 2012's list of this name has 10,582" in caplog.text


def test_other_classes_may_have_any_count(tree, caplog):
    indexed(tree, with_sbd(tree))
    assert str(FaultKind.LIST_LENGTH) not in caplog.text


def test_faulty_masks_are_reported_with_the_file_they_are_drawn_from(tree):
    dataset = with_sbd(tree)
    masks = dataset.sbd / "dataset/cls"
    cut_short(masks / "s1.mat")
    savemat(masks / "s2.mat", {"GTinst": {"Segmentation": sbd_mask(1)}})
    write_mat(masks / "s3.mat", np.full((3, 4), 9, dtype=np.uint8))
    error = faults_of(lambda: masked(tree, dataset))
    assert [(fault.kind, Path(fault.file).name) for fault in error.faults] == [
        (FaultKind.BROKEN_MASK, "s1.mat"),
        (FaultKind.BROKEN_MASK, "s2.mat"),
        (FaultKind.MASK_SIZE, "s3.mat"),
        (FaultKind.MASK_VALUES, "s3.mat"),
    ]
    assert error.faults[0].detail.startswith("is not a .mat file, or is damaged")
    assert error.faults[1].detail.startswith("has no GTcls.Segmentation")
    tree.image("v1").unlink()  # and all of it is reported with the faults of images
    error = faults_of(lambda: indexed(tree, dataset))
    kinds = {FaultKind.MISSING_IMAGE, FaultKind.BROKEN_MASK, FaultKind.MASK_SIZE, FaultKind.MASK_VALUES}
    assert {fault.kind for fault in error.faults} == kinds


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"GTcls": 3}, "has no GTcls.Segmentation"),
        ({"GTcls": {"Boundaries": 1}}, "has no GTcls.Segmentation"),
        ({"GTcls": {"Segmentation": np.zeros((2, 3))}}, r"is float64 \(2, 3\); expected class numbers, uint8"),
        ({"GTcls": {"Segmentation": np.zeros((2, 3, 2), np.uint8)}}, r"is uint8 \(2, 3, 2\)"),
        ({"other": 1}, "has no GTcls.Segmentation"),
    ],
)
def test_mat_files_with_something_else(tmp_path, content, words):
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(UserError, match=words):
        read_sbd_mask(tmp_path / "x.mat")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x89HDF\r\n\x1a\n" + bytes(600), bytes(300)])
def test_files_that_are_no_mat_files(tmp_path, content):
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.mat: "):
        read_sbd_mask(tmp_path / "x.mat")
    with pytest.raises(UserError, match="no such mask file"):
        read_sbd_mask(tmp_path / "y.mat")


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (4, 6)])
def test_mat_masks_of_any_size_keep_their_shape(tmp_path, size):
    mask = np.arange(np.prod(size), dtype=np.uint8).reshape(size)
    write_mat(tmp_path / "x.mat", mask)
    np.testing.assert_array_equal(read_sbd_mask(tmp_path / "x.mat"), mask)


@pytest.mark.parametrize("form", FORMS)
def test_no_mask_is_an_input_of_what_trainings_start_from(tree, form):
    raw = raw_dataset(tree.root, with_sbd(tree, form))
    masks = raw.mask_inputs()
    assert all(path.is_dir() for path in masks) and len(masks) == 2
    assert not any(
        path == mask or mask in path.parents or path in mask.parents for path in raw.inputs() for mask in masks
    )
    lists = {path.name for path in raw.inputs() if path.suffix == ".txt"}
    assert lists == {"train.txt", "val.txt"}
    assert len([path for path in raw.inputs() if path.name == "train.txt"]) == (1 if form == "png" else 2)


def test_a_change_of_the_names_of_png_masks_is_seen(tree):
    dataset = with_sbd(tree, "png")
    before = raw_dataset(tree.root, dataset).names_digest()
    (dataset.sbd / "s1.png").unlink()
    assert before and raw_dataset(tree.root, dataset).names_digest() not in ("", before)
    assert raw_dataset(tree.root, tree.dataset).names_digest() == ""


def test_a_generated_data_set_has_no_sbd():
    with pytest.raises(ValueError, match="leave 'sbd' out"):
        VocDataset(generate=Creatures(), sbd=Path("sbd"))


def test_relative_folders_are_found_from_the_table_on(tree, monkeypatch):
    dataset = with_sbd(tree).model_copy(update={"sbd": Path("sbd")})
    monkeypatch.chdir(tree.root.parent)
    index_into(Path("made"), Path("voc"), dataset)
    index = read_index("made/index.csv", "made/classes.json")
    index_masks(raw_dataset("voc", dataset), index, Path("made/masks.csv"), Path("made/skipped_masks.csv"))
    assert read_label_manifest([Path("made/masks.csv")])["s1"].samefile("made/drawn/s1.png")
