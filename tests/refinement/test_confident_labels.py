import numpy as np
import pytest
from PIL import Image

from wsss_core.config.refinement import AffinityLabels, BackgroundScore, Crf
from wsss_core.errors import UserError
from wsss_core.refinement.confident_labels import (
    confident_label_map,
    confident_label_map_of_winners,
    label_values,
    refined_seed,
)

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


def test_refined_seed_uses_the_threshold(image_path):
    maps = np.array([[[0.9, 0.4, 0.1, 0.29, 0.31]]], np.float32)
    assert refined_seed(image_path, np.array([2]), maps, 0.3, NO_CRF).tolist() == [[3, 3, 0, 0, 3]]


def test_an_image_without_classes_is_background(image_path):
    none, maps = np.zeros(0, np.int64), np.zeros((0, 1, 5), np.float32)
    assert confident_label_map(image_path, none, maps, PARAMETERS).tolist() == [[0] * 5]
    assert refined_seed(image_path, none, maps, 0.3, NO_CRF).tolist() == [[0] * 5]


def test_maps_of_another_size_are_told(image_path):
    with pytest.raises(UserError, match=r"image\.png: the image is 1 x 5 pixels.*2 x 5"):
        refined_seed(image_path, np.array([0]), np.zeros((1, 2, 5), np.float32), 0.3, NO_CRF)


def test_label_values():
    assert label_values(np.array([0, 7])).tolist() == [0, 1, 8]


def test_object_unsure_and_background_by_winners(image_path):
    maps = np.array([[[0.9, 0.4, 0.1, 0.1, 0.5]], [[0.1, 0.3, 0.7, 0.1, 0.55]]], np.float32)
    labels = confident_label_map_of_winners(image_path, np.array([4, 11]), maps, 0.6, 0.2, NO_CRF)
    assert labels.dtype == np.uint8 and labels.tolist() == [[5, 255, 12, 0, 255]]
    none, maps = np.zeros(0, np.int64), np.zeros((0, 1, 5), np.float32)
    assert confident_label_map_of_winners(image_path, none, maps, 0.6, 0.2).tolist() == [[0] * 5]
