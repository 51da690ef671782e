import pytest
import torch
import torchvision
from torch import nn

from wsss_core.config.networks import Trunk
from wsss_core.networks.imagenet_weights import trunk_from_torchvision
from wsss_core.networks.pixels import VGG16_MEANS, CaffePixels
from wsss_core.networks.trunks import build_trunk

SMALL = Trunk(network="vgg16_small")
SIZES = [(1, 1), (1, 30), (16, 32), (33, 47), (31, 9)]


@pytest.mark.parametrize("network", ["vgg16", "vgg16_small"])
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("size", SIZES)
def test_shapes_are_as_announced_for_any_image_size(network, output_stride, size):
    with torch.device("meta"):
        trunk = build_trunk(Trunk(network=network, output_stride=output_stride))
        maps = trunk.eval()(torch.zeros(1, 3, *size))
    assert trunk.strides == tuple(min(stride, output_stride) for stride in (2, 4, 8, 16))
    for features, channels, stride in zip(maps, trunk.channels, trunk.strides, strict=True):
        assert features.shape == (1, channels, *(-(-side // stride) for side in size))


@torch.inference_mode()
def test_computes_what_torchvision_computes_where_sizes_are_even():
    torch.manual_seed(0)
    network = torchvision.models.vgg16().eval()
    trunk = build_trunk(Trunk(network="vgg16")).eval()
    trunk.load_state_dict(trunk_from_torchvision(network.state_dict(), "vgg16"))
    images = torch.randn(1, 3, 64, 32)
    expected, found = [], trunk(images)
    for layer in network.features[:-1]:  # but the last pooling
        if isinstance(layer, nn.MaxPool2d):
            expected.append(images)
        images = layer(images)
    expected.append(images)
    for own, other in zip(found, expected[1:], strict=True):
        torch.testing.assert_close(own, other)


def test_pooling_keeps_a_last_odd_row():
    trunk = build_trunk(SMALL).double().eval()
    image = torch.randn(1, 3, 33, 32, dtype=torch.float64, requires_grad=True)
    trunk(image)[0][0, :, 16].sum().backward()  # the seventeenth row of cells is of the thirty-third of pixels
    assert image.grad[:, :, 32].any()


def test_dilation_keeps_the_values_in_between_others():
    torch.manual_seed(0)
    coarse = build_trunk(Trunk(network="vgg16_small", output_stride=16)).double().eval()
    fine = build_trunk(Trunk(network="vgg16_small", output_stride=8, dilated=True)).double().eval()
    plain = build_trunk(Trunk(network="vgg16_small", output_stride=8)).double().eval()
    for trunk in (fine, plain):
        trunk.load_state_dict(coarse.state_dict())
    assert [part.dilation[0] for part in fine.modules() if isinstance(part, nn.Conv2d)] == [1, 1, 1, 1, 1, 2]
    # A constant image: where padding is not seen, all cells are alike, whatever the dilation.
    image = torch.ones(1, 3, 256, 256, dtype=torch.float64)
    middles = [trunk(image)[-1][0, :, side // 2, side // 2] for trunk, side in ((coarse, 16), (fine, 32), (plain, 32))]
    torch.testing.assert_close(middles[1], middles[0])
    torch.testing.assert_close(middles[2], middles[0])
    noise = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    assert (fine(noise)[-1] - plain(noise)[-1]).abs().max() > 1e-6


def test_a_frozen_stem_takes_no_gradient():
    trunk = build_trunk(SMALL).train()
    trunk.freeze_stem()
    trunk.train()
    trunk(torch.randn(2, 3, 32, 32))[-1].sum().backward()
    for name, parameter in trunk.named_parameters():
        assert (parameter.grad is None) == name.startswith(("conv1_", "bn1_")), name
    assert not trunk.bn1_1.training
    assert trunk.bn2_1.training


def test_the_authors_network_has_no_normalisation_and_names_of_caffe():
    with torch.device("meta"):
        trunk = build_trunk(Trunk(network="vgg16"))
    assert list(trunk.state_dict()) == [
        f"conv{stage}_{position}.{leaf}"
        for stage, count in enumerate((2, 2, 3, 3, 3), start=1)
        for position in range(1, count + 1)
        for leaf in ("weight", "bias")
    ]
    trunk.freeze_stem()
    frozen = [name for name, parameter in trunk.named_parameters() if not parameter.requires_grad]
    assert frozen == ["conv1_1.weight", "conv1_1.bias", "conv1_2.weight", "conv1_2.bias"]


def test_caffes_pixels_come_before_the_first_convolution():
    torch.manual_seed(0)
    imagenet, caffe = (
        build_trunk(Trunk(network="vgg16_small", pixels=pixels)).eval() for pixels in ("imagenet", "caffe")
    )
    caffe.load_state_dict(imagenet.state_dict())  # the conversion has no weights
    images = torch.randn(1, 3, 20, 20)
    torch.testing.assert_close(caffe(images)[-1], imagenet(CaffePixels(VGG16_MEANS)(images))[-1])


def test_float64_computes_the_same():
    torch.manual_seed(0)
    trunk = build_trunk(SMALL).eval()
    images = torch.randn(1, 3, 33, 26)
    single = trunk(images)
    for own, other in zip(trunk.double()(images.double()), single, strict=True):
        assert own.dtype == torch.float64
        torch.testing.assert_close(own.float(), other, rtol=1e-4, atol=1e-4)


def test_the_small_network_is_small():
    assert sum(parameter.numel() for parameter in build_trunk(SMALL).parameters()) < 0.5e6
