import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.cams.test_advcam import random_image
from tests.cams.tiny_network import TinyClassifier
from wsss_core.cams.multiscale import multiscale_class_maps, multiscale_side_by_side
from wsss_core.config.cams import MultiscaleCams
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.inference import scaled_images


def plain_maps(network, image, classes, scales, flip):
    """IRN's make_cam, image by image, all classes, present ones picked last."""
    height, width = image.shape[:2]
    small = ((height - 1) // 4 + 1, (width - 1) // 4 + 1)
    padded = (((height - 1) // 16 + 1) * 16, ((width - 1) // 16 + 1) * 16)
    cam, high_res = 0, 0
    for scale in scales:
        clean = normalise(rescale(image, scale)).double()
        maps = network.class_maps(clean[None]).relu()
        if flip:
            maps = maps + network.class_maps(clean.flip(2)[None]).relu().flip(3)
        cam = cam + functional.interpolate(maps, size=small, mode="bilinear", align_corners=False)[0]
        high_res = high_res + functional.interpolate(maps, size=padded, mode="bilinear", align_corners=False)[0]
    picked = cam[classes], high_res[classes, :height, :width]
    return [maps / (functional.adaptive_max_pool2d(maps, (1, 1)) + 1e-5) for maps in picked]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (5, 30)])
def test_as_irn_draws_them(flip, height, width):
    scales = (0.5, 1.0, 1.7)
    network, image = TinyClassifier(seed=2), random_image(height, width)
    parameters = MultiscaleCams(classifier="c", scales=scales, flip=flip)
    maps = multiscale_class_maps(network, image, [0, 2], parameters).normalised()
    for mine, expected in zip(maps, plain_maps(network, image, [0, 2], scales, flip), strict=True):
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)


def test_high_res_only_where_kept():
    parameters = MultiscaleCams(classifier="c", high_res=False)
    assert multiscale_class_maps(TinyClassifier(), random_image(8, 8), [0], parameters).normalised()[1] is None


def test_a_mirrored_image_has_mirrored_maps():
    network, image = TinyClassifier(seed=5), random_image(32, 32)
    parameters = MultiscaleCams(classifier="c", scales=(1.0, 2.0))
    maps = multiscale_class_maps(network, image, [0, 1], parameters).normalised()[0]
    mirrored = multiscale_class_maps(network, np.ascontiguousarray(image[:, ::-1]), [0, 1], parameters).normalised()[0]
    torch.testing.assert_close(mirrored, maps.flip(2))


@pytest.mark.parametrize("pixels", [2**21, 3 * 25 * 18, 1])
@pytest.mark.parametrize("rectify", ["before_resizing", "after_resizing"])
@pytest.mark.parametrize("flip", [True, False])
def test_images_side_by_side_have_the_maps_they_have_alone(monkeypatch, flip, rectify, pixels):
    monkeypatch.setattr(scaled_images, "CPU_PIXELS", pixels)
    network, images = TinyClassifier(seed=3), [random_image(25, 18, seed) for seed in range(4)]
    classes = [[0, 1, 3], [2], [0, 3], [1, 2]]
    parameters = MultiscaleCams(classifier="c", scales=(0.5, 1.0), flip=flip, rectify=rectify)
    together = multiscale_side_by_side(
        network,
        scaled_images.scaled_images(images, parameters.scales).sent_to(network.head.weight),
        classes,
        parameters,
    )
    alone = [multiscale_class_maps(network, *one, parameters) for one in zip(images, classes, strict=True)]
    for found, *expected in zip(together.normalised(), *(one.normalised() for one in alone), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-12)


def test_nothing_waits_for_the_device():
    """Tensors of the device "meta" have no values to be waited for."""
    network = TinyClassifier(dtype=torch.float32).to("meta")
    prepared = scaled_images.scaled_images([random_image(25, 18)] * 2, (0.5, 1.0)).sent_to(network.head.weight)
    maps = multiscale_side_by_side(network, prepared, [[0], [1, 2]], MultiscaleCams(classifier="c", scales=(0.5, 1.0)))
    assert maps.normalised()[0].shape == (3, 7, 5)
