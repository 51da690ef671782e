import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

from tests.conftest import GOLDEN
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLabV2 as settings_of
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.networks.batch_norm import freeze_batch_norm
from wsss_core.networks.deeplabv2 import DeepLabV2, from_authors, our_name
from wsss_core.networks.pixels import DEEPLAB_MEANS, CaffePixels
from wsss_core.networks.resnet import Architecture, ResNetTrunk
from wsss_core.networks.trunks import build_trunk
from wsss_core.segmentation.losses import resized_labels, segmentation_losses

CLASSES = ("cat", "dog")
AUTHORS_TRUNK = Trunk(network="resnet101", output_stride=8, dilated=True, pixels="caffe")


def tiny(pixels=None, input_scales=(0.5, 0.75)):
    """A trunk in Caffe's form; ``pixels`` is what it makes of images."""
    torch.manual_seed(0)
    architecture = Architecture(Bottleneck, (2, 1, 2, 1), (4, 4, 8, 8))
    trunk = ResNetTrunk(architecture, 8, True, pixels or CaffePixels(DEEPLAB_MEANS))
    return DeepLabV2(trunk, CLASSES, (1, 3), input_scales).eval()


def grid(length):
    """Size of the scores of an image of this size: stem, max-pooling and layer2 round up one after the other."""
    half = math.ceil(length / 2)
    quarter = math.ceil((half - 1) / 2) + 1
    return math.ceil(quarter / 2)


def test_scores_come_at_an_eighth_of_the_size_or_one_place_more():
    sizes = {321: 41, 513: 65, 65: 9, 64: 9, 66: 9, 60: 8, 1: 1}
    assert {length: grid(length) for length in sizes} == sizes
    network = tiny(input_scales=())
    for height, width in [(321, 64), (64, 65), (66, 60), (1, 1)]:
        assert network(torch.randn(2, 3, height, width)).shape == (2, 3, grid(height), grid(width))


@pytest.mark.parametrize("size", [(67, 50), (8, 1), (1, 1)])
def test_any_size_can_be_seen_at_several_scales(size):
    logits = tiny()(torch.randn(1, 3, *size))
    assert logits.shape == (1, 3, *map(grid, size))


def test_each_layer_has_the_authors_stride_and_dilation():
    trunk = tiny().trunk
    assert trunk.maxpool.ceil_mode
    for name, stride, dilation in [("layer1", 1, 1), ("layer2", 2, 1), ("layer3", 1, 2), ("layer4", 1, 4)]:
        for number, block in enumerate(trunk.get_submodule(name)):
            assert block.conv1.stride == ((stride, stride) if number == 0 else (1, 1))
            assert block.conv2.stride == (1, 1)
            assert block.conv2.dilation == block.conv2.padding == (dilation, dilation)
        assert trunk.get_submodule(name)[0].downsample[0].stride == (stride, stride)


def test_caffes_pixels_are_made_inside():
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3), dtype=np.uint8)
    pixels = torch.from_numpy(image[..., ::-1] - np.array(DEEPLAB_MEANS)).permute(2, 0, 1)[None]
    caffe, plain = tiny().double(), tiny(nn.Identity()).double()
    plain.load_state_dict(caffe.state_dict())
    torch.testing.assert_close(caffe(normalise(image)[None].double()), plain(pixels), rtol=1e-5, atol=1e-5)


def test_the_largest_score_of_all_scales_counts():
    network, images = tiny(input_scales=(0.5, 0.75, 1.5)).double(), torch.randn(2, 3, 48, 80, dtype=torch.float64)
    logits = network.all_logits(images)
    assert [part.shape[2:] for part in logits[:-1]] == [
        torch.Size(map(grid, size)) for size in [(48, 80), (24, 40), (36, 60), (72, 120)]
    ]
    expected = logits[0]
    for part in logits[1:-1]:
        expected = torch.maximum(expected, functional.interpolate(part, size=expected.shape[2:], mode="bilinear"))
    torch.testing.assert_close(logits[-1], expected)
    assert torch.equal(network(images), logits[-1])
    resized = functional.interpolate(images, scale_factor=0.5, mode="bilinear")
    torch.testing.assert_close(logits[1], network.at_one_scale(resized))


def test_without_further_scales_the_scores_stay_as_they_are():
    images, network = torch.randn(1, 3, 40, 56), tiny(input_scales=())
    assert torch.equal(network(images), network.at_one_scale(images))
    assert len(network.all_logits(images)) == 1  # whose loss would count twice beside an equal maximum


@pytest.mark.parametrize("length", [1, 2, 7, 64, 65, 100, 321, 512])
def test_labels_are_resized_as_pillow_does(length):
    labels = np.random.default_rng(length).integers(0, 256, (2, length, 37), dtype=np.uint8)
    for wanted in [(1, 1), (9, 5), (41, 3), (65, 74), (129, 40)]:
        resized = resized_labels(torch.from_numpy(labels), wanted)
        for own, image in zip(resized.numpy(), labels, strict=True):
            expected = Image.fromarray(image).resize(wanted[::-1], Image.Resampling.NEAREST)
            np.testing.assert_array_equal(own, np.asarray(expected))


def test_gradients_in_float64_are_those_of_finite_differences():
    network = tiny(nn.Identity()).double()
    freeze_batch_norm(network)
    network.train()
    settings = settings_of(backbone="any")
    torch.manual_seed(1)
    images, labels = torch.randn(1, 3, 33, 26, dtype=torch.float64), torch.randint(0, 3, (1, 33, 26))
    weight = network.trunk.get_submodule("layer3.1").conv2.weight
    segmentation_losses(network.all_logits(images), labels, settings).sum().backward()
    direction = torch.randn_like(weight)
    step, values = 1e-6, []
    with torch.no_grad():
        for sign in (1, -2):
            weight += sign * step * direction
            values.append(segmentation_losses(network.all_logits(images), labels, settings).sum().item())
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx((weight.grad * direction).sum().item(), rel=1e-5)


def test_only_convolutions_are_optimised_and_the_pyramid_learns_faster():
    network = tiny()
    trunk, weights, biases = network.parameter_groups(5.0)
    assert [group["factor"] for group in (trunk, weights, biases)] == [1.0, 5.0, 10.0]
    assert biases["weight_decay"] == 0
    assert "weight_decay" not in weights
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    expected = {id(parameter) for part in convolutions for parameter in part.parameters()}
    taken = [id(parameter) for group in (trunk, weights, biases) for parameter in group["params"]]
    assert sorted(taken) == sorted(expected)
    assert all(parameter.ndim == 1 for parameter in biases["params"])


def test_frozen_convolutions_are_left_out():
    network = tiny()
    network.trunk.freeze_stem()
    trunk = network.parameter_groups()[0]
    assert trunk["params"]
    assert all(parameter.requires_grad for parameter in trunk["params"])


def test_all_of_the_authors_names_have_a_place_of_their_shape():
    names = json.loads((GOLDEN / "names_deeplabv2_msc.json").read_text())["names"]
    with torch.device("meta"):
        state = DeepLabV2(build_trunk(AUTHORS_TRUNK), [str(number) for number in range(20)]).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert {our_name(name): shape for name, shape in names.items()} == shapes
    assert {our_name(name.removeprefix("base.")): shape for name, shape in names.items()} == shapes


def test_counters_are_added_and_the_older_networks_classifier_is_left_out():
    mean = torch.zeros(4)
    state = from_authors({"layer1.conv1.bn.running_mean": mean, "fc.weight": mean, "base.fc.bias": mean})
    assert set(state) == {"trunk.bn1.running_mean", "trunk.bn1.num_batches_tracked"}
    assert state["trunk.bn1.running_mean"] is mean


@pytest.mark.parametrize("name", ["base.layer6.block1.reduce.conv.weight", "conv1.weight", "aspp.c0.running_mean"])
def test_other_networks_names_are_refused(name):
    with pytest.raises(UserError, match=f"'{name}' is not a weight"):
        our_name(name)


def test_caffes_form_is_one_of_bottlenecks():
    with pytest.raises(ValueError, match="bottleneck blocks"):
        ResNetTrunk(Architecture(BasicBlock, (1, 1, 1, 1)), 8, True, CaffePixels())


def test_with_torchvisions_weights_the_trunk_keeps_torchvisions_form():
    trunk = build_trunk(Trunk(network="resnet50", output_stride=8, dilated=True))
    assert not trunk.maxpool.ceil_mode
    assert trunk.layer2[0].conv2.stride == (2, 2)
    assert trunk.layer3[0].conv2.dilation == (1, 1) and trunk.layer3[1].conv2.dilation == (2, 2)
