"""The pretext set: shapes, balance, and being the same every time."""

import numpy as np
import pytest

from wsss_core.datasets.creatures.creature_looks import HEADS
from wsss_core.datasets.creatures.pretext import HUES, PRETEXT_CLASSES, pretext_images


@pytest.fixture(scope="module")
def small():
    return pretext_images(48, 40, 0)


def test_shapes_types_and_balance(small):
    images, labels, names = small
    assert (images.dtype, images.shape) == (np.uint8, (48, 40, 40, 3))
    assert (labels.dtype, labels.shape) == (np.int64, (48,))
    assert names == PRETEXT_CLASSES
    assert len(set(names)) == 24
    assert (np.bincount(labels, minlength=24) == 2).all()


def test_equal_seeds_give_equal_pictures_and_longer_sets_go_on(small):
    images, labels, _ = pretext_images(60, 40, 0)
    assert np.array_equal(images[:48], small[0])
    assert np.array_equal(labels[:48], small[1])


def test_no_two_pictures_and_no_two_seeds_are_alike(small):
    others, _, _ = pretext_images(48, 40, 1)
    pictures = np.concatenate([small[0], others]).reshape(96, -1)
    assert len(np.unique(pictures, axis=0)) == 96


def test_colours_are_those_of_the_classes():
    images, labels, names = pretext_images(240, 40, 0)
    middle = images[:, 12:28, 12:28].reshape(240, -1, 3).astype(float).mean(axis=1)
    for colour, strongest in (("orange", 0), ("lime", 1), ("violet", 2)):
        chosen = np.isin(labels, [i for i, name in enumerate(names) if name.startswith(colour)])
        assert middle[chosen].mean(axis=0).argmax() == strongest


def test_hues_of_heads_lie_between_those_of_the_pretext_classes():
    for head in HEADS:
        assert abs(head.hue * len(HUES) - round(head.hue * len(HUES))) < 0.01  # classes have 0.1 to 0.9


@pytest.mark.parametrize("arguments", [(0, 40, 0), (1, 15, 0), (1, 40, -1)])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="expected images"):
        pretext_images(*arguments)


@pytest.mark.parametrize("size", [16, 41, 64])
def test_other_sizes(size):
    assert pretext_images(2, size, 0)[0].shape == (2, size, size, 3)
