"""Tests of ``wsss_core.datasets.subset``; lists of masks are tested where they are used."""

import pytest

from tests.datasets.coco_tree import indexed, small_coco
from wsss_core.datasets.subset import listed_among, showing_objects
from wsss_core.errors import UserError


def test_listed_images_keep_their_order_and_others_are_left_out(tmp_path):
    (tmp_path / "list.txt").write_text("c\na\nskipped\n")
    assert listed_among(["a", "b", "c"], [str(tmp_path / "list.txt")]) == ["a", "c"]


def test_without_a_list_all_images_are_there():
    assert listed_among({"a": 1, "b": 2}, []) == ["a", "b"]


def test_a_list_of_other_images_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("x\n")
    with pytest.raises(UserError, match=r"list\.txt: names none of the 2 training images"):
        listed_among(["a", "b"], [str(tmp_path / "list.txt")])


def test_images_that_show_an_object_in_their_own_order(tmp_path):
    index = indexed(small_coco(tmp_path / "coco").write())
    asked = ["COCO_val2014_000000000073", "COCO_val2014_000000000042", "COCO_train2014_000000000009"]
    assert showing_objects(asked, index) == asked[1:]
    assert showing_objects(asked, None) == asked
