import builtins

import numpy as np
import pydensecrf.densecrf
import pytest

from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.errors import UserError
from wsss_core.refinement.crf import DenseCrf, background_score, dense_crf, refine, with_background

RANDOM = np.random.default_rng(3)


def two_colours(height: int = 40, width: int = 40, border: int = 20) -> np.ndarray:
    image = np.full((height, width, 3), 30, np.uint8)
    image[:, border:] = (220, 200, 40)
    return image


def test_equals_a_direct_use_of_pydensecrf():
    image = RANDOM.integers(0, 255, (20, 30, 3), np.uint8)
    scores = RANDOM.random((3, 20, 30)).astype(np.float32)
    scores[0, :3] = 0  # clipped
    constants = {
        "gaussian_sxy": 2,
        "gaussian_compat": 1.5,
        "bilateral_sxy": 9,
        "bilateral_srgb": 7,
        "bilateral_compat": 4,
    }
    crf = Crf(iterations=4, long_side=None, **constants)
    field = pydensecrf.densecrf.DenseCRF2D(30, 20, 3)
    field.setUnaryEnergy(-np.log(np.clip(scores, 1e-5, 1)).reshape(3, -1))
    field.addPairwiseGaussian(sxy=2, compat=1.5)
    field.addPairwiseBilateral(sxy=9, srgb=7, rgbim=image, compat=4)
    expected = np.array(field.inference(4)).reshape(3, 20, 30)
    result = dense_crf(image, scores, crf)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_allclose(result.sum(axis=0), 1, atol=1e-5)


def test_widths_follow_the_longer_side():
    crf = Crf(gaussian_sxy=3, bilateral_sxy=80)
    assert crf.widths(375, 500) == crf.widths(500, 375) == (3, 80)
    assert crf.widths(125, 250) == (1.5, 40)
    assert crf.widths(1000, 10) == (6, 160)
    assert Crf(long_side=640, gaussian_sxy=3, bilateral_sxy=80).widths(480, 640) == (3, 80)
    for size in ((375, 500), (96, 96), (2000, 3000)):
        assert Crf(long_side=None, gaussian_sxy=3, bilateral_sxy=80).widths(*size) == (3, 80)


def test_the_widths_of_the_images_size_are_used():
    image, scores = RANDOM.integers(0, 255, (20, 25, 3), np.uint8), RANDOM.random((2, 20, 25))
    following = dense_crf(image, scores, Crf(gaussian_sxy=40, bilateral_sxy=200))
    np.testing.assert_array_equal(
        following, dense_crf(image, scores, Crf(long_side=None, gaussian_sxy=2, bilateral_sxy=10))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 1},
        {"long_side": 100},
        {"gaussian_sxy": 1},
        {"gaussian_compat": 9},
        {"bilateral_sxy": 5},
        {"bilateral_srgb": 60},
        {"bilateral_compat": 1},
        {"bilateral_compat": 0},
        {"gaussian_compat": 0},
        {"unary": "labels"},
    ],
)
def test_every_field_is_honoured(change):
    image = RANDOM.integers(0, 255, (16, 16, 3), np.uint8)
    scores = RANDOM.random((2, 16, 16))
    base = {"long_side": None}  # with the default the kernels are too narrow for so small an image
    changed, unchanged = (dense_crf(image, scores, Crf(**settings)) for settings in ({**base, **change}, base))
    assert np.abs(changed - unchanged).max() > 1e-4


def test_one_field_serves_several_score_maps():
    image, scores = two_colours(), RANDOM.random((2, 2, 40, 40))
    field = DenseCrf(image, 2, Crf())
    for one in (scores[0], scores[1], scores[0]):
        np.testing.assert_array_equal(field.infer(one), dense_crf(image, one, Crf()))


def test_labels_snap_to_the_border_of_colours():
    maps = np.full((1, 40, 40), 0.1, np.float32)
    maps[:, :, 24:] = 0.9  # four columns short of the border at 20
    labels = refine(two_colours(), maps, BackgroundScore(threshold=0.3), Crf())
    np.testing.assert_array_equal(labels, np.arange(40)[None].repeat(40, 0) >= 20)


def test_without_crf_the_largest_score_wins():
    maps = np.array([[[0.2, 0.6, 0.1]], [[0.5, 0.7, 0.3]]], np.float32)
    assert refine(two_colours(1, 3), maps, BackgroundScore(threshold=0.4), None).tolist() == [[2, 2, 0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
@pytest.mark.parametrize("labels", [1, 2, 4])
def test_smallest_images_and_single_labels(size, labels):
    scores = RANDOM.random((labels, *size))
    result = dense_crf(two_colours(*size), scores, Crf())
    assert result.shape == scores.shape
    np.testing.assert_allclose(result.sum(axis=0), 1, atol=1e-5)


def test_a_factor_shared_by_all_labels_changes_nothing():
    image, scores = two_colours(), RANDOM.uniform(0.1, 0.5, (3, 40, 40))
    factor = RANDOM.uniform(0.5, 2, (40, 40))
    np.testing.assert_allclose(dense_crf(image, scores * factor, Crf()), dense_crf(image, scores, Crf()), atol=1e-4)


def test_background_score():
    maps = np.array([[[0.0, 0.25]], [[0.5, 1.0]]], np.float32)
    constant = background_score(maps, BackgroundScore(threshold=0.3))
    assert constant.dtype == np.float32 and constant.tolist() == [[pytest.approx(0.3)] * 2]
    assert background_score(maps, BackgroundScore(alpha=4)).tolist() == [[0.5**4, 0.0]]
    overshoot = np.full((1, 1, 1), 1.0000001, np.float32)
    assert background_score(overshoot, BackgroundScore(alpha=0.5)).tolist() == [[0.0]]


def test_without_class_maps_all_is_background():
    none = np.zeros((0, 40, 40), np.float32)
    assert with_background(none, BackgroundScore(alpha=4)).tolist() == np.ones((1, 40, 40)).tolist()
    assert not refine(two_colours(), none, BackgroundScore(threshold=0.5), Crf()).any()


def test_wrong_input_is_reported():
    image, crf = two_colours(), Crf()
    with pytest.raises(ValueError, match="shape"):
        dense_crf(image, np.ones((2, 40, 41)), crf)
    with pytest.raises(ValueError, match="uint8"):
        dense_crf(image.astype(float), np.ones((2, 40, 40)), crf)
    with pytest.raises(ValueError, match="finite"):
        dense_crf(image, np.full((2, 40, 40), np.nan), crf)
    with pytest.raises(ValueError, match="at least one label"):
        DenseCrf(image, 0, crf)


def test_a_missing_package_is_named(monkeypatch):
    genuine = builtins.__import__

    def without(name, *rest):
        if name.startswith("pydensecrf"):
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pydensecrf2"):
        dense_crf(two_colours(), np.ones((2, 40, 40)), Crf())
    assert dense_crf(two_colours(), np.ones((1, 40, 40)), Crf()).all()


def test_labels_are_scores_of_the_certainty():
    image, labels = two_colours(), RANDOM.integers(0, 3, (40, 40))
    scores = np.where(labels[None] == np.arange(3)[:, None, None], 0.8, 0.1)
    crf = Crf(unary="labels", certainty=0.8)
    result = DenseCrf(image, 3, crf).infer_from_labels(labels)
    np.testing.assert_allclose(result, dense_crf(image, scores, Crf()), atol=1e-4)
    assert DenseCrf(image, 1, crf).infer_from_labels(0 * labels).all()


def test_of_scores_the_winners_alone_may_count():
    image, scores = two_colours(), RANDOM.random((3, 40, 40))
    field = DenseCrf(image, 3, Crf(unary="labels"))
    np.testing.assert_array_equal(field.infer(scores), field.infer_from_labels(scores.argmax(axis=0)))
    np.testing.assert_array_equal(field.infer(scores), field.infer(scores**3))
    assert np.abs(field.infer(scores) - dense_crf(image, scores, Crf())).max() > 1e-3


def test_a_multiple_of_an_unknown_threshold_is_reported():
    with pytest.raises(ValueError, match="multiple of a threshold"):
        background_score(np.zeros((1, 2, 2)), BackgroundScore(times_seed_threshold=1))


@pytest.mark.parametrize(
    ("labels", "message"), [(np.zeros((2, 2), int), "shape"), (np.full((40, 40), 2), "from 2 to 2")]
)
def test_wrong_labels_are_reported(labels, message):
    with pytest.raises(ValueError, match=message):
        DenseCrf(two_colours(), 2, Crf()).infer_from_labels(labels)
