import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.networks.test_any_trunk import with_statistics
from tests.oracles.plain_pspnet import plain_average, plain_decoder, plain_pyramid
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import PspNet
from wsss_core.networks.pspnet import PyramidPooling, UpsamplingDecoder, averaged
from wsss_core.networks.segmenter_files import build_segmenter


def arrays(module):
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("size", [(6, 7), (1, 1), (13, 4)], ids=str)
@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_means_over_grids_of_any_size(size, cells):
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    found = averaged(features, cells)
    torch.testing.assert_close(found, functional.adaptive_avg_pool2d(features, cells))
    np.testing.assert_allclose(found[1].numpy(), plain_average(features[1].numpy(), cells))


def test_means_of_bfloat16_are_right_to_its_last_place():
    features = torch.rand(1, 1, 40, 40) + 1
    found = averaged(features.bfloat16(), 3).double()
    torch.testing.assert_close(found, functional.adaptive_avg_pool2d(features.double(), 3), rtol=2**-7, atol=0)


@pytest.mark.parametrize("size", [(5, 7), (1, 3)], ids=str)
def test_the_head_is_the_plain_one(size):
    torch.manual_seed(0)
    pyramid, decoder = PyramidPooling(8, (1, 2, 3)), UpsamplingDecoder(2, 4, 2)
    for network in (pyramid, decoder):
        with_statistics(network).double().eval().requires_grad_(False)
    features = torch.randn(2, 8, *size, dtype=torch.float64)
    scores = decoder(pyramid(features))
    assert scores.shape == (2, 4, 4 * size[0], 4 * size[1]) and scores.min() >= 0 and scores.std() > 0.1
    for image, found in zip(features.numpy(), scores, strict=True):
        plain = plain_decoder(plain_pyramid(image, (1, 2, 3), arrays(pyramid)), arrays(decoder))
        np.testing.assert_allclose(found.numpy(), plain, atol=1e-10)


def test_at_the_start_the_four_places_of_a_doubling_are_alike():
    torch.manual_seed(0)
    decoder = UpsamplingDecoder(5, 3, 1)
    nn.init.zeros_(decoder[1].convolution.bias)
    scores = decoder(torch.randn(1, 5, 4, 4))
    assert scores.std() > 0.1
    for row, column in ((0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(scores[:, :, row::2, column::2], scores[:, :, ::2, ::2])


def test_channels_are_those_of_the_authors():
    """2,048 features: grids of 512 channels each, 512 in all, and as many doublings as lead from stride 8 to 1."""
    trunk = Trunk(network="resnet50", output_stride=8, dilated=True)
    network = build_segmenter("pspnet", PspNet(backbone="any").options, trunk, [f"class {n}" for n in range(20)])
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters() if value.ndim == 4}
    new = {name: shape for name, shape in shapes.items() if not name.startswith("trunk.")}
    assert new == {
        **{f"pyramid.stages.{number}.0.weight": (512, 2048, 1, 1) for number in range(4)},
        "pyramid.bottleneck.0.weight": (512, 4096, 3, 3),
        "decoder.0.weight": (21, 512, 1, 1),
        **{f"decoder.{number}.convolution.weight": (84, 21, 1, 1) for number in (1, 2, 3)},
    }
    assert [block.conv2.dilation[0] for block in network.trunk.layer4] == [2, 4, 4]


def test_scores_are_cut_to_the_image_and_not_squeezed():
    torch.manual_seed(0)
    trunk = Trunk(network="resnet_small", output_stride=8)
    network = build_segmenter("pspnet", PspNet(backbone="any").options, trunk, ("a", "b")).eval()
    images = torch.randn(2, 3, 33, 45)
    maps = network.encode(images)
    whole = network.decode(maps)
    assert whole.shape == (2, 3, 40, 48)
    assert torch.equal(network(images), whole[:, :, :33, :45])
    assert torch.equal(maps[-1], network.pyramid(network.trunk(images)[-1]))
