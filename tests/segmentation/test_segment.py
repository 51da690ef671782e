"""One image, however it is given, and what is no image."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.refinement.tiny_data import CLASSES, TRUNK
from wsss_core import segment
from wsss_core.config.segmentation import Prediction
from wsss_core.errors import UserError
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.segmentation.export_onnx import PLAIN
from wsss_core.segmentation.segment import DEFAULT

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_segmenter("deeplab", {"atrous_rates": (1, 2), "low_level_skip": True}, TRUNK, CLASSES).eval()


def test_the_image_is_seen_once_as_by_the_exported_file(network):
    assert DEFAULT == PLAIN
    seen = segment(network, PIXELS)
    once = segment(network, PIXELS, Prediction(scales=(1.0,), flip=False, crf=None))
    np.testing.assert_array_equal(seen.probabilities, once.probabilities)


def turned():
    image = Image.fromarray(PIXELS)
    image.getexif()[0x0112] = 6
    return image


def deep():
    return Image.fromarray((PIXELS[..., 0].astype(np.uint16) << 4) | 15)


def transparent():
    alpha = np.where(np.arange(56) < 28, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([PIXELS, np.broadcast_to(alpha, (40, 56))]))


@pytest.mark.parametrize("made", [turned, deep, transparent])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_pillow_image_is_read_as_its_file(network, tmp_path, made, loaded):
    image, file = made(), tmp_path / "image.png"
    image.save(file, exif=image.getexif())
    with Image.open(file) as again:
        if loaded:
            again.load()
        seen = segment(network, again)
    np.testing.assert_array_equal(seen.image, segment(network, file).image)
    assert seen.image.shape == ((56, 40, 3) if made is turned else (40, 56, 3))
    assert seen.labels.shape == seen.image.shape[:2]


@pytest.mark.parametrize(
    "image", [PIXELS[..., 0], PIXELS[..., [0, 1, 2, 2]], PIXELS / 255, PIXELS[:0], PIXELS.astype(np.int64)]
)
def test_arrays_that_are_no_images(network, image):
    with pytest.raises(UserError, match=r"it has to be \(height, width, 3\) and uint8"):
        segment(network, image)


def test_what_is_no_segmenter_and_no_image(network):
    with pytest.raises(TypeError, match=r"takes a network from wsss_core\.load_segmenter, and then an image; not str"):
        segment("weights.safetensors", PIXELS)
    with pytest.raises(TypeError, match="not list"):
        segment(network, PIXELS.tolist())
