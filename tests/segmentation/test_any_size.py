from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import CLASSES, TRUNK
from wsss_core.config.segmentation import Prediction
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.segmentation import any_size
from wsss_core.segmentation.any_size import labels_of_size, probabilities_of_views, seen_size, shrunken
from wsss_core.segmentation.class_probabilities import class_probabilities

ONE_SCALE, FIVE_SCALES = Prediction(scales=(1.0,)), Prediction(scales=(0.5, 1.5))
CAMERA = (4000, 6000)
RESNET50 = SimpleNamespace(channels=(256, 512, 1024, 2048), strides=(4, 8, 16, 16))
RESNET38 = SimpleNamespace(channels=(256, 512, 2048, 4096), strides=(4, 8, 8, 8))


def network_of(classes, trunk=RESNET50):
    return SimpleNamespace(trunk=trunk, classes=("background",) * classes)


@pytest.mark.parametrize(("size", "classes"), [((375, 500), 21), ((480, 640), 81), ((375, 500), 1001), ((1, 1), 21)])
def test_ordinary_images_are_seen_as_they_are(size, classes):
    assert seen_size(size, network_of(classes), FIVE_SCALES) == size


@pytest.mark.parametrize("size", [CAMERA, CAMERA[::-1], (100, 10**6), (10**7, 1)])
@pytest.mark.parametrize("classes", [2, 21, 81])
@pytest.mark.parametrize("settings", [ONE_SCALE, FIVE_SCALES], ids=["one scale", "five scales"])
def test_what_memory_does_not_hold_is_shrunk_to_what_it_holds(size, classes, settings):
    height, width = seen_size(size, network_of(classes), settings)
    assert height * width * max(settings.scales) ** 2 <= any_size.VIEW_PIXELS
    assert height * width * classes <= any_size.PROBABILITIES
    if min(size) > 1000:  # of the same shape, and no smaller than needed
        assert height / width == pytest.approx(size[0] / size[1], rel=0.01)
        assert height * width > 350_000


def test_a_trunk_with_large_maps_sees_fewer_pixels():
    height, width = seen_size(CAMERA, network_of(21, RESNET38), ONE_SCALE)
    cells = [-(-height // stride) * -(-width // stride) for stride in RESNET38.strides]
    of_maps = sum(4 * channels * number for channels, number in zip(RESNET38.channels, cells, strict=True))
    assert of_maps == pytest.approx(any_size.FEATURE_BYTES, rel=0.05)


def test_a_longer_side_that_is_given_holds():
    assert seen_size(CAMERA, network_of(21), FIVE_SCALES, 3000) == (2000, 3000)
    assert seen_size((100, 200), network_of(21), FIVE_SCALES, 3000) == (100, 200)


@pytest.mark.parametrize("size", [(40, 60), (41, 37), (7, 90), (10, 12), (1, 1)])
@pytest.mark.parametrize("strip_values", [1, 300, 10**6])
def test_labels_are_those_of_all_probabilities_enlarged_at_once(monkeypatch, size, strip_values):
    monkeypatch.setattr(any_size, "STRIP_VALUES", strip_values)
    given = np.random.default_rng(0).random((4, 10, 12), dtype=np.float32)
    labels = labels_of_size(given, size)
    whole = functional.interpolate(torch.from_numpy(given)[None].double(), size, mode="bilinear", align_corners=False)
    best = whole[0].topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-5).numpy()
    assert labels.dtype == np.uint8 and clear.mean() > 0.99
    np.testing.assert_array_equal(labels[clear], whole[0].argmax(dim=0).numpy()[clear])


def test_labels_of_many_classes_have_16_bits():
    assert labels_of_size(np.random.default_rng(0).random((300, 3, 4), dtype=np.float32), (6, 8)).dtype == np.uint16


def test_views_that_go_alone_give_what_pairs_give(monkeypatch):
    torch.manual_seed(0)
    network = build_segmenter("deeplab", {"atrous_rates": (1, 2), "low_level_skip": True}, TRUNK, CLASSES).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    with torch.inference_mode():
        together = class_probabilities(network, image, FIVE_SCALES).numpy()
    np.testing.assert_array_equal(probabilities_of_views(network, image, FIVE_SCALES), together)
    monkeypatch.setattr(any_size, "VIEW_PIXELS", 100)
    # Pillow's resizing of the mirror image may round a pixel otherwise than the mirror of the resized image.
    np.testing.assert_allclose(probabilities_of_views(network, image, FIVE_SCALES), together, atol=0.01)


def test_an_image_is_shrunk_by_averaging():
    image = np.zeros((40, 60, 3), np.uint8)
    image[::2] = 200
    assert shrunken(image, (40, 60)) is image
    assert np.abs(shrunken(image, (10, 15)).astype(int) - 100).max() < 12
