import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.plain_boundary import plain_boundary_f
from wsss_core.evaluation.boundary import boundary_f_score


def blobs(seed, shape, classes, ignored=False):
    """Labels of the nearest of some random centres."""
    random = np.random.default_rng(seed)
    centres = random.random((4, 2)) * shape
    labels = random.integers(0, classes + 1, 4)
    if ignored:
        labels[0] = 255
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return labels[np.linalg.norm(grid[:, :, None] - centres, axis=-1).argmin(axis=-1)].astype(np.uint8)


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([(9, 7), (40, 60), (1, 30), (150, 120)]))
def test_it_is_that_of_a_plain_loop(seed, ignored, shape):
    prediction, truth = blobs(seed, shape, 3, ignored), blobs(seed + 1, shape, 3)
    expected = plain_boundary_f(prediction, truth, 3)
    assert boundary_f_score(prediction, truth) == pytest.approx(expected, nan_ok=True)


def square(left, size=200, side=60, label=1):
    labels = np.zeros((size, size), np.uint8)
    labels[70 : 70 + side, left : left + side] = label
    return labels


def test_a_shift_within_the_tolerance_is_forgiven():
    # The diagonal is 283 pixels, the tolerance 2.1.
    truth = square(70)
    assert boundary_f_score(truth, truth) == 1
    assert boundary_f_score(square(72), truth) == 1
    assert 0.4 < boundary_f_score(square(80), truth) < 0.8


def test_a_class_that_is_missing_or_invented_scores_nothing():
    truth = square(70)
    assert boundary_f_score(square(70, label=2), truth) == pytest.approx(1 / 3)  # the background's alone
    assert boundary_f_score(np.zeros_like(truth), truth) == 0
    assert boundary_f_score(truth, np.zeros_like(truth)) == 0


def test_a_map_of_one_class_has_no_boundary():
    nothing = np.zeros((4, 5), np.uint8)
    assert math.isnan(boundary_f_score(nothing, nothing))
    assert math.isnan(boundary_f_score(square(3), np.full((200, 200), 255, np.uint8)))


def test_the_border_of_a_mask_counts_as_its_middle():
    truth = square(70)
    bordered = truth.copy()
    bordered[68:132, 68:132] = 255
    bordered[72:128, 72:128] = 1
    assert boundary_f_score(truth, bordered) == 1
    assert boundary_f_score(square(80), bordered) < 0.8


def test_what_is_predicted_where_nothing_is_known_is_not_blamed():
    truth, prediction = square(20), square(20)
    prediction[70:100, 150:180] = 1
    assert boundary_f_score(prediction, truth) < 0.9
    truth[65:105, 145:185] = 255
    assert boundary_f_score(prediction, truth) == 1
    only = np.zeros_like(truth)
    only[70:100, 150:180] = 2
    assert math.isnan(boundary_f_score(only, np.where(truth == 255, truth, 0)))
