import numpy as np
import pytest
import torch

from wsss_core.datasets.transforms import normalise
from wsss_core.networks.pixels import DEEPLAB_MEANS, VGG16_MEANS, CaffePixels


@pytest.mark.parametrize("means", [DEEPLAB_MEANS, VGG16_MEANS, (1.0, 20.0, 300.0)])
def test_every_pixel_value_comes_back_blue_first_less_the_mean(means):
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3), dtype=np.uint8)
    converted = CaffePixels(means)(normalise(image)[None])
    expected = image[..., ::-1].astype(np.float64) - means
    assert converted.dtype == torch.float32
    np.testing.assert_allclose(converted[0].permute(1, 2, 0).numpy(), expected, atol=6e-5)


def test_the_conversion_follows_the_networks_dtype_and_adds_nothing_to_its_state():
    pixels = CaffePixels().double()
    assert pixels.state_dict() == {}
    assert pixels(torch.zeros(2, 3, 4, 5, dtype=torch.float64)).dtype == torch.float64


def test_the_gradient_reaches_the_normalised_image():
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    CaffePixels()(images)[:, 0].sum().backward()  # blue alone
    expected = torch.zeros(1, 3, 2, 2)
    expected[:, 2] = 255 * 0.225
    torch.testing.assert_close(images.grad, expected)


def test_other_than_three_means_are_refused():
    with pytest.raises(ValueError, match="three means"):
        CaffePixels((1.0, 2.0))
