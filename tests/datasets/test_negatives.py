"""Tests of ``dataset.negatives``: what becomes of images without any class."""

import pytest

from tests.datasets.folder_tree import FolderTree, splits_by_id
from tests.datasets.voc_tree import VocTree, indexed, small_tree
from wsss_core.datasets.faults import FaultKind

IMAGES = [f"{number}.png" for number in range(8)]
"""Those of even numbers show no defect."""


def defects(tmp_path, form: str, **settings) -> FolderTree:
    """A folder of images with a defect and good ones, in a form of the table."""
    tree = FolderTree(tmp_path / "mine", **settings).images(IMAGES)
    bad = [name for number, name in enumerate(IMAGES) if number % 2]
    if form == "empty label":
        tree.labels({name: ["defect"] if name in bad else [] for name in IMAGES})
    elif form == "one-hot":
        tree.table("labels.csv", [("image", "defect"), *((name, str(int(name in bad))) for name in IMAGES)])
    else:
        tree.labels({name: ["defect"] for name in bad})
    splits = {name: "val" if number > 5 else "train" for number, name in enumerate(IMAGES)}
    return tree.splits(splits)


@pytest.mark.parametrize("form", ["empty label", "one-hot"])
def test_images_that_the_table_says_to_show_nothing_are_trained_on(tmp_path, form, caplog):
    tree = defects(tmp_path, form)
    index = tree.index(tmp_path / "made")
    assert index.split("train").label_matrix[:, 0].tolist() == [False, True] * 3
    reported = "3 of 6 train images, 3 trained on as examples that show none (such as '0'); 1 of 2 val images"
    assert f"images without any class: {reported}, 1 scored anyway" in caplog.text
    assert "there is no negative example" not in caplog.text
    assert (tmp_path / "made/skipped.csv").read_text().count("\n") == 1


def test_images_without_a_row_are_left_out_unless_all_is_said(tmp_path, caplog):
    tree = defects(tmp_path, "no row")
    index = tree.index(tmp_path / "made")
    assert index.split("train").label_matrix[:, 0].tolist() == [True] * 3
    assert "3 left out of the training, because no label says what they show" in caplog.text
    assert "all 3 training images show 'defect': there is no negative example" in caplog.text
    assert "3 images without any label exist but are left out" in caplog.text
    assert "Add images without it" not in caplog.text
    assert "'dataset.negatives: all'" in (tmp_path / "made/skipped.csv").read_text()


def test_images_without_a_row_are_trained_on_if_all_is_said(tmp_path):
    index = defects(tmp_path, "no row", negatives="all").index(tmp_path / "made")
    assert index.split("train").label_matrix[:, 0].tolist() == [False, True] * 3


def test_images_without_a_row_are_drawn_into_both_splits_if_all_is_said(tmp_path):
    names = [f"{number}.png" for number in range(40)]
    tree = FolderTree(tmp_path / "mine", negatives="all").images(names)
    tree.labels({name: ["defect"] for name in names[:20]})
    splits = splits_by_id(tree.listing())
    assert {splits[name.removesuffix(".png")] for name in names[20:]} == {"train", "val"}


def test_none_leaves_all_of_them_out(tmp_path, caplog):
    index = defects(tmp_path, "one-hot", negatives="none").index(tmp_path / "made")
    assert len(index.split("train")) == 3 and len(index.split("val")) == 2
    assert "3 left out of the training, by 'negatives: none'" in caplog.text
    reported = (
        "It is the only class. 3 images without it exist but are left out; 'dataset.negatives: listed' trains on them"
    )
    assert reported in caplog.text


def test_training_images_that_all_show_nothing_stop(tmp_path):
    tree = FolderTree(tmp_path / "mine", classes=("defect",)).images(IMAGES)
    tree.labels({name: ["defect"] if name == "7.png" else [] for name in IMAGES})
    tree.splits({name: "val" if name == "7.png" else "train" for name in IMAGES})
    (fault,) = tree.faults(tmp_path / "made").faults
    assert fault.kind == FaultKind.LIST and "no image of the split 'train' shows a class" in fault.detail


def test_vocs_images_without_an_object_are_trained_on_if_asked_for(tmp_path):
    tree: VocTree = small_tree(tmp_path / "voc")
    tree.annotate("0002", [], size=(3, 9))
    assert "0002" not in indexed(tree).image_ids
    index = indexed(tree, tree.dataset.model_copy(update={"negatives": "listed"}))
    assert dict(zip(index.image_ids, index.columns["labels"], strict=True))["0002"] == ""
