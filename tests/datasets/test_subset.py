"""Tests of ``wsss_core.datasets.subset``; lists of masks are tested where they are used."""

import pytest

from wsss_core.datasets.subset import listed_among
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
