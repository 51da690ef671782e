"""Tests of the index of images that have neither labels nor masks."""

import pytest

from tests.datasets.voc_tree import cut_short, faults_of, indexed, small_tree
from wsss_core.config.dataset import Splits, VocDataset
from wsss_core.datasets.faults import FaultKind
from wsss_core.datasets.formats import raw_dataset
from wsss_core.datasets.index import read_index
from wsss_core.datasets.index_dataset import index_test_images


@pytest.fixture
def tree(tmp_path):
    """A small tree with two test images, which have an image file and nothing else."""
    tree = small_tree(tmp_path / "voc")
    tree.lists["test"] = []
    for image_id, size in (("2008_000006", (7, 5)), ("2008_000011", (4, 9))):
        tree.add(image_id, [], "test", size=size)
        tree.annotation(image_id).unlink()
    return tree.write_lists()


def index_of(tree, **lists):
    dataset = VocDataset(name="tree", root=tree.root, classes=tree.classes, splits=Splits(test="test", **lists))
    made = tree.root.parent / "tested"
    index_test_images(raw_dataset(tree.root, dataset), made / "index.csv", made / "classes.json")
    return read_index(made / "index.csv", made / "classes.json")


def test_test_images_need_neither_annotation_nor_mask(tree):
    index = index_of(tree)
    assert index.image_ids == ["2008_000006", "2008_000011"] and set(index.table["split"]) == {"test"}
    assert list(zip(index.table["height"], index.table["width"], strict=True)) == [(7, 5), (4, 9)]
    assert index.image_paths[0] == tree.image("2008_000006") and not index.label_matrix.any()
    assert index.classes == tree.classes


def test_they_are_no_part_of_the_index_that_networks_learn_from(tree):
    assert indexed(tree).image_ids == ["0001", "0002", "nan", "0004", "0005"]


def test_all_that_is_wrong_with_them_is_reported_at_once(tree):
    tree.lists["test"] += ["0004", "gone", "gone"]
    tree.write_lists()
    cut_short(tree.image("2008_000006"))
    error = faults_of(lambda: index_of(tree))
    kinds = {FaultKind.SHARED_ID, FaultKind.REPEATED_ID, FaultKind.MISSING_IMAGE, FaultKind.BROKEN_IMAGE}
    assert {fault.kind for fault in error.faults} == kinds and len(error.faults) == 4
    assert f"in the test images of the data set {tree.root}" in str(error)
    assert "'0004' is also in val.txt" in str(error)
    assert not (tree.root.parent / "tested").exists()


def test_a_list_that_is_missing_is_reported_with_those_that_are_there(tree):
    tree.list("test").unlink()
    (fault,) = faults_of(lambda: index_of(tree)).faults
    assert fault.kind == FaultKind.LAYOUT and "test.txt" in fault.file and "lists there: train, val" in fault.detail


def test_one_list_cannot_be_both(tree):
    error = faults_of(lambda: index_of(tree, val="test"))
    assert "give 'val' and 'test' in 'splits' different lists" in str(error)
