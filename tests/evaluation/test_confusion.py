import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.oracles.plain_scores import plain_confusion, plain_iou
from wsss_core.evaluation.confusion import confusion_matrix, scores_of

LABELS = st.sampled_from([0, 1, 2, 3, 255])
MAPS = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
    lambda shape: st.tuples(*[arrays.arrays(np.uint8, shape, elements=LABELS)] * 2)
)


@given(MAPS)
def test_counts_and_scores_are_those_of_a_plain_loop(maps):
    prediction, truth = maps
    matrix = confusion_matrix(prediction, truth, 3)
    np.testing.assert_array_equal(matrix, plain_confusion(prediction, truth, 3))
    scores = scores_of(matrix)
    expected = [plain_iou(prediction, truth, label) for label in range(4)]
    np.testing.assert_allclose(scores.iou, expected)
    counted = truth != 255
    if not counted.any():
        assert np.isnan([scores.miou, scores.precision, scores.recall, scores.pixel_accuracy]).all()
        return
    np.testing.assert_allclose(scores.miou, np.nanmean(expected))
    np.testing.assert_allclose(scores.pixel_accuracy, np.mean(prediction[counted] == truth[counted]))


def test_by_hand():
    truth = np.array([[0, 0, 0, 0, 1, 1, 2, 255]], np.uint8)
    prediction = np.array([[0, 0, 1, 255, 1, 0, 0, 3]], np.uint8)
    scores = scores_of(confusion_matrix(prediction, truth, 3))
    # Background: 2 right of 4, predicted 4 times. Class 1: 1 of 2, predicted twice. Class 2: never predicted.
    np.testing.assert_allclose(scores.iou, [2 / 6, 1 / 3, 0, np.nan])
    assert scores.miou == pytest.approx((2 / 6 + 1 / 3 + 0) / 3)
    assert scores.precision == pytest.approx((2 / 4 + 1 / 2 + 0) / 3)
    assert scores.recall == pytest.approx((2 / 4 + 1 / 2 + 0) / 3)
    assert scores.pixel_accuracy == pytest.approx(3 / 7)


def test_254_classes_are_not_mistaken_for_no_class():
    truth = np.array([[254, 0]], np.uint8)
    matrix = confusion_matrix(np.array([[254, 255]], np.uint8), truth, 254)
    assert matrix.shape == (255, 256) and matrix[254, 254] == 1 and matrix[0, 255] == 1


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        ([[0, 0]], [[0]], "1 x 2, the mask 1 x 1"),
        ([[0]], [[4]], "mask has the value 4"),
        ([[4]], [[0]], "prediction has the value 4"),
    ],
)
def test_what_does_not_fit(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(prediction, np.uint8), np.array(truth, np.uint8), 3)
