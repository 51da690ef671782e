import numpy as np
import pytest

from tests.oracles import plain_averaging as plain
from tests.refinement.test_pseudo_labels import WalkedMaps
from tests.refinement.tiny_data import CLASSES, write_images
from wsss_core.config.averaging import ClassThresholds, Pamr
from wsss_core.config.background import BackgroundScore
from wsss_core.datasets.images import read_image
from wsss_core.refinement.class_thresholds import above_class_thresholds
from wsss_core.refinement.local_averaging import AveragedScores
from wsss_core.refinement.pseudo_label_map import pseudo_label_map, pseudo_label_scores


def indices(above):
    return np.where(above.any(axis=0), above.argmax(axis=0), -1)


@pytest.mark.parametrize("labels", [1, 2, 4])
@pytest.mark.parametrize(
    "thresholds",
    [ClassThresholds(), ClassThresholds(objects=0.3, background=0.9, lowest=0), ClassThresholds(lowest=0.5)],
    ids=repr,
)
def test_equals_the_plain_form(labels, thresholds):
    scores = np.random.default_rng(labels).dirichlet(np.full(labels, 0.5), (9, 13)).transpose(2, 0, 1)
    above = above_class_thresholds(scores, thresholds)
    assert above.dtype == bool and above.shape == scores.shape and above.sum(axis=0).max() == 1
    np.testing.assert_array_equal(indices(above), plain.thresholded(scores, **thresholds.model_dump()))


def test_ambiguous_low_and_exact_pixels_count_for_none():
    # Thresholds: 0.7 * 0.8 of the background, 0.6 * 0.5 of the first class, the lowest 0.2 of the second.
    scores = np.array([[[0.8, 0.6, 0.1, 0.2, 0.1]], [[0.0, 0.4, 0.5, 0.3, 0.1]], [[0.0, 0.0, 0.2, 0.1, 0.25]]])
    found = indices(above_class_thresholds(scores, ClassThresholds()))
    np.testing.assert_array_equal(found, [[0, -1, 1, -1, 2]])
    assert not above_class_thresholds(np.zeros((3, 2, 2)), ClassThresholds(lowest=0)).any()


def test_pseudo_labels_are_left_out_where_no_class_stands_out(tmp_path):
    index = write_images(tmp_path / "images")
    path, maps, background = index.image_paths[0], WalkedMaps().read(index.image_ids[0]), BackgroundScore(threshold=0.3)
    thresholds = ClassThresholds(objects=0.9, background=0.9)
    settings = Pamr(shrink=1, dilations=(1, 2), class_thresholds=thresholds)
    labels = pseudo_label_map(path, maps, background, settings)
    shares = AveragedScores(read_image(path), settings).infer(np.clip(pseudo_label_scores(maps, background), 0, 1))
    expected = plain.thresholded(shares, **thresholds.model_dump())
    values = np.array([0, *(maps.classes + 1), 255])
    np.testing.assert_array_equal(labels, values[expected])
    assert set(np.unique(labels)) == {0, CLASSES.index("cat") + 1, 255}
    everywhere = pseudo_label_map(path, maps, background, settings.model_copy(update={"class_thresholds": None}))
    assert not (everywhere == 255).any()
