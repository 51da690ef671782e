import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from tests.conftest import GOLDEN
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.networks.deeplabv2 import (
    DeepLabV2,
    MultiScale,
    from_authors,
    load_deeplabv2,
    our_name,
    parameter_groups,
    resized_labels,
    save_deeplabv2,
    training_losses,
)
from wsss_core.networks.pixels import DEEPLAB_MEANS
from wsss_core.networks.resnet import freeze_batch_norm
from wsss_core.networks.weights import load_trunk, save_weights

CLASSES = ("cat", "dog")


def tiny(pixels="caffe", blocks=(2, 1, 2, 1)):
    torch.manual_seed(0)
    return DeepLabV2(CLASSES, blocks, (4, 4, 8, 8), (1, 3), pixels).eval()


def grid(length):
    """Size of the scores of an image of this size: stem, max-pooling and layer2 round up one after the other."""
    half = math.ceil(length / 2)
    quarter = math.ceil((half - 1) / 2) + 1
    return math.ceil(quarter / 2)


def test_scores_come_at_an_eighth_of_the_size_or_one_place_more():
    sizes = {321: 41, 513: 65, 65: 9, 64: 9, 66: 9, 60: 8, 1: 1}
    assert {length: grid(length) for length in sizes} == sizes
    network = tiny()
    for height, width in [(321, 64), (64, 65), (66, 60), (1, 1)]:
        assert network(torch.randn(2, 3, height, width)).shape == (2, 3, grid(height), grid(width))


@pytest.mark.parametrize("size", [(67, 50), (8, 1), (1, 1)])
def test_any_size_can_be_seen_at_several_scales(size):
    logits = MultiScale(tiny()).eval()(torch.randn(1, 3, *size))
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
    caffe, plain = tiny("caffe").double(), tiny("imagenet").double()
    plain.load_state_dict(caffe.state_dict())
    torch.testing.assert_close(caffe(normalise(image)[None].double()), plain(pixels), rtol=1e-5, atol=1e-5)


def test_the_largest_score_of_all_scales_counts():
    network, images = MultiScale(tiny(), (0.5, 0.75, 1.5)).double(), torch.randn(2, 3, 48, 80, dtype=torch.float64)
    logits = network.eval().all_logits(images)
    assert [part.shape[2:] for part in logits[:-1]] == [
        torch.Size(map(grid, size)) for size in [(48, 80), (24, 40), (36, 60), (72, 120)]
    ]
    expected = logits[0]
    for part in logits[1:-1]:
        expected = torch.maximum(expected, functional.interpolate(part, size=expected.shape[2:], mode="bilinear"))
    torch.testing.assert_close(logits[-1], expected)
    assert torch.equal(network(images), logits[-1])
    resized = functional.interpolate(images, scale_factor=0.5, mode="bilinear")
    torch.testing.assert_close(logits[1], network.network(resized))


def test_a_training_network_returns_the_scores_of_all_scales():
    network = MultiScale(tiny())
    freeze_batch_norm(network)
    images = torch.randn(1, 3, 40, 56)
    for trained, expected in zip(network.train()(images), network.all_logits(images), strict=True):
        assert torch.equal(trained, expected)
    assert len(network(images)) == 4


def test_without_further_scales_the_scores_stay_as_they_are():
    images, network = torch.randn(1, 3, 40, 56), tiny()
    assert torch.equal(MultiScale(network, ()).eval()(images), network(images))


@pytest.mark.parametrize("length", [1, 2, 7, 64, 65, 100, 321, 512])
def test_labels_are_resized_as_pillow_does(length):
    labels = np.random.default_rng(length).integers(0, 256, (2, length, 37), dtype=np.uint8)
    for wanted in [(1, 1), (9, 5), (41, 3), (65, 74), (129, 40)]:
        resized = resized_labels(torch.from_numpy(labels), wanted)
        for own, image in zip(resized.numpy(), labels, strict=True):
            expected = Image.fromarray(image).resize(wanted[::-1], Image.Resampling.NEAREST)
            np.testing.assert_array_equal(own, np.asarray(expected))


def test_each_loss_is_the_mean_over_labelled_places():
    logits = [torch.randn(2, 3, 4, 6, dtype=torch.float64), torch.randn(2, 3, 8, 12, dtype=torch.float64)]
    labels = torch.randint(0, 3, (2, 8, 12), dtype=torch.uint8)
    labels[0, :5] = 255
    losses = training_losses(logits, labels)
    expected = functional.cross_entropy(logits[1], labels.long(), ignore_index=255)
    torch.testing.assert_close(losses[1], expected)
    small = labels[:, 1::2, 1::2].long()  # the centre of two pixels counts as the second's
    torch.testing.assert_close(losses[0], functional.cross_entropy(logits[0], small, ignore_index=255))


def test_without_labels_the_losses_are_0_and_have_gradients():
    logits = [torch.randn(1, 3, 4, 4, requires_grad=True)]
    losses = training_losses(logits, torch.full((1, 9, 9), 255))
    losses.sum().backward()
    assert losses.tolist() == [0]
    assert torch.equal(logits[0].grad, torch.zeros(1, 3, 4, 4))


def test_gradients_in_float64_are_those_of_finite_differences():
    network = MultiScale(tiny("imagenet")).double()
    freeze_batch_norm(network)
    network.train()
    torch.manual_seed(1)
    images, labels = torch.randn(1, 3, 33, 26, dtype=torch.float64), torch.randint(0, 3, (1, 33, 26))
    weight = network.network.trunk.get_submodule("layer3.1").conv2.weight
    training_losses(network(images), labels).sum().backward()
    direction = torch.randn_like(weight)
    step, values = 1e-6, []
    with torch.no_grad():
        for sign in (1, -2):
            weight += sign * step * direction
            values.append(training_losses(network(images), labels).sum().item())
    slope = (values[0] - values[1]) / (2 * step)
    assert slope == pytest.approx((weight.grad * direction).sum().item(), rel=1e-5)


def test_only_convolutions_are_optimised_and_the_pyramid_learns_faster():
    network = tiny()
    trunk, weights, biases = parameter_groups(network, 5.0)
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
    trunk = parameter_groups(network)[0]
    assert trunk["params"]
    assert all(parameter.requires_grad for parameter in trunk["params"])


def test_all_of_the_authors_names_have_a_place_of_their_shape():
    names = json.loads((GOLDEN / "names_deeplabv2_msc.json").read_text())["names"]
    with torch.device("meta"):
        state = DeepLabV2([str(number) for number in range(20)]).state_dict()
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
    with pytest.raises(UserError, match=f"'{name}' is no weight"):
        our_name(name)


@pytest.mark.parametrize(("pixels", "scales"), [("caffe", (0.5, 0.75)), ("imagenet", ())])
def test_a_network_is_rebuilt_from_its_file_alone(tmp_path, pixels, scales):
    network = MultiScale(tiny(pixels), scales).eval()
    save_deeplabv2(tmp_path / "file.safetensors", network)
    loaded = load_deeplabv2(tmp_path / "file.safetensors")
    assert loaded.classes == ("background", *CLASSES)
    assert loaded.scales == scales
    assert not any(part.training for part in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    images = torch.randn(1, 3, 41, 30)
    assert torch.equal(loaded(images), network(images))


def test_the_trunk_of_a_file_can_be_used_elsewhere(tmp_path):
    network, other = tiny(), tiny()
    nn.init.normal_(network.trunk.conv1.weight)
    save_deeplabv2(tmp_path / "file.safetensors", MultiScale(network))
    load_trunk(tmp_path / "file.safetensors", other.trunk)
    assert torch.equal(other.trunk.conv1.weight, network.trunk.conv1.weight)


def test_another_networks_file_is_refused(tmp_path):
    save_weights(tmp_path / "file.safetensors", nn.Linear(1, 1), {"kind": "classifier"})
    with pytest.raises(UserError, match="not of a deeplabv2"):
        load_deeplabv2(tmp_path / "file.safetensors")


def test_settings_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="four numbers"):
        DeepLabV2(CLASSES, blocks=(1, 1))
    with pytest.raises(ValueError, match="'caffe' or 'imagenet'"):
        DeepLabV2(CLASSES, (1,) * 4, (4,) * 4, pixels="vgg")
