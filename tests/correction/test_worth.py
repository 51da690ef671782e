import numpy as np
import pytest

from wsss_core.correction.worth import mean_iou, share_of_highest, worst


def test_mean_iou_counts_the_classes_that_either_map_has():
    one = np.array([[0, 0, 1, 1]], np.uint8)
    other = np.array([[0, 0, 0, 2]], np.uint8)
    assert mean_iou(one, one) == 1
    assert mean_iou(one, other) == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_ignored_pixels_do_not_count_and_may_be_all():
    one = np.array([[255, 0, 1]], np.uint8)
    assert mean_iou(one, np.array([[3, 0, 1]], np.uint8)) == 1
    assert mean_iou(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8)) == 1


def test_the_share_of_the_highest_score():
    scores = np.array([[[0.5, 0.0]], [[0.5, 0.0]]])
    assert share_of_highest(scores) == 0.5  # where all scores are 0, nothing is known
    assert share_of_highest(np.zeros((2, 3, 3))) == 0
    assert share_of_highest(np.array([[[3.0, 1.0]], [[1.0, 0.0]]])) == pytest.approx((0.75 + 1) / 2)


def test_the_worst_come_first_and_equal_ones_by_their_ids():
    worth = {"b": 0.2, "a": 0.2, "c": 0.9}
    assert worst(worth, 2, lowest=True) == ["a", "b"]
    assert worst(worth, None, lowest=False) == ["c", "a", "b"]
