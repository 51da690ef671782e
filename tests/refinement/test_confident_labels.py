import numpy as np
import pytest
from PIL import Image

from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.config.refinement import AffinityLabels
from wsss_core.errors import UserError
from wsss_core.refinement.confident_labels import confident_label_map, label_values, refined_seed

# A CRF that changes nothing to speak of, so that the logic shows.
NO_CRF = Crf(iterations=1, gaussian_compat=0, bilateral_compat=0)
PARAMETERS = AffinityLabels(
    foreground=BackgroundScore(threshold=0.6), background=BackgroundScore(threshold=0.2), crf=NO_CRF
)


@pytest.fixture
def image_path(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((1, 5, 3), np.uint8)).save(path)
    return path


def test_object_unsure_and_background(image_path):
    maps = np.array([[[0.9, 0.4, 0.1, 0.1, 0.5]], [[0.1, 0.3, 0.7, 0.1, 0.55]]], np.float32)
    labels = confident_label_map(image_path, np.array([4, 11]), maps, PARAMETERS)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[5, 255, 12, 0, 255]]


@pytest.mark.parametrize("unary", ["scores", "labels"])
def test_what_both_crfs_are_sure_of_is_as_the_settings_say(image_path, unary):
    # Settings that make sense never have it; here the "weak" background is the stronger one.
    odd = {"foreground": BackgroundScore(threshold=0.2), "background": BackgroundScore(threshold=0.6)}
    maps = np.array([[[0.9, 0.4, 0.1, 0.4, 0.7]]], np.float32)
    crf = NO_CRF.model_copy(update={"unary": unary})
    for conflicts, expected in (("object", [[3, 3, 0, 3, 3]]), ("background", [[3, 0, 0, 0, 3]])):
        settings = AffinityLabels(conflicts=conflicts, crf=crf).model_copy(update=odd)
        assert confident_label_map(image_path, np.array([2]), maps, settings).tolist() == expected


def test_scores_can_follow_the_seeds_threshold(image_path):
    maps = np.array([[[0.9, 0.45, 0.31, 0.25, 0.1]]], np.float32)
    score = {"foreground": {"times_seed_threshold": 1.5}, "background": {"times_seed_threshold": 1}}
    settings = AffinityLabels(**score, crf=NO_CRF)
    for seed_threshold, expected in (
        (0.2, [[2, 2, 2, 255, 0]]),
        (0.3, [[2, 255, 255, 0, 0]]),
        (0.8, [[255, 0, 0, 0, 0]]),
    ):
        assert confident_label_map(image_path, np.array([1]), maps, settings, seed_threshold).tolist() == expected


def test_refined_seed_uses_the_background(image_path):
    maps = np.array([[[0.9, 0.4, 0.1, 0.29, 0.31]]], np.float32)
    fixed = BackgroundScore(threshold=0.3)
    assert refined_seed(image_path, np.array([2]), maps, fixed, NO_CRF).tolist() == [[3, 3, 0, 0, 3]]
    left_over = BackgroundScore(alpha=1)
    assert refined_seed(image_path, np.array([2]), maps, left_over, NO_CRF).tolist() == [[3, 0, 0, 0, 0]]


def test_an_image_without_classes_is_background(image_path):
    none, maps = np.zeros(0, np.int64), np.zeros((0, 1, 5), np.float32)
    assert confident_label_map(image_path, none, maps, PARAMETERS).tolist() == [[0] * 5]
    by_label = AffinityLabels(crf=Crf(unary="labels"))
    assert confident_label_map(image_path, none, maps, by_label).tolist() == [[0] * 5]
    assert refined_seed(image_path, none, maps, BackgroundScore(threshold=0.3), NO_CRF).tolist() == [[0] * 5]


def test_maps_of_another_size_are_reported(image_path):
    with pytest.raises(UserError, match=r"image\.png: the image is 1 x 5 pixels.*2 x 5"):
        refined_seed(image_path, np.array([0]), np.zeros((1, 2, 5), np.float32), BackgroundScore(threshold=0.3), NO_CRF)


def test_label_values():
    assert label_values(np.array([0, 7])).tolist() == [0, 1, 8]
