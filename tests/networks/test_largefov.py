"""VGG-16's fully connected layers in LargeFOV: decimated, as DeepLab v1 has them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import LargeFov
from wsss_core.errors import UserError
from wsss_core.networks.largefov import decimated_layers
from wsss_core.networks.segmenter_files import build_segmenter

UNITS, INPUTS, KEPT = 16, 6, 4
"""A small stand-in for VGG-16's 4,096 units, 512 inputs and DeepLab's 1,024 units."""


@pytest.fixture
def state():
    torch.manual_seed(0)
    layers = {"classifier.0": nn.Linear(INPUTS * 49, UNITS), "classifier.3": nn.Linear(UNITS, UNITS)}
    return {f"{name}.{leaf}": tensor for name, layer in layers.items() for leaf, tensor in layer.state_dict().items()}


def masked(state):
    """The dense 7x7 weights of fc6 (U, C, 7, 7) with 0 where a row or column is not kept; plain loops."""
    weight = state["classifier.0.weight"].reshape(UNITS, INPUTS, 7, 7)
    kept = torch.zeros_like(weight)
    for row in (0, 3, 6):
        for column in (0, 3, 6):
            kept[:, :, row, column] = weight[:, :, row, column]
    return kept


@pytest.mark.parametrize(("stride", "rate"), [(8, 12), (16, 6), (32, 3)])
@torch.inference_mode()
def test_the_decimated_convolution_is_the_dense_one_with_the_other_weights_at_0(state, stride, rate):
    """fc6 sees cells of stride 32: on a finer map the dense 7x7 convolution is dilated by 32 / stride."""
    fc6 = decimated_layers(state, KEPT, "vgg16.pth")["fc6"]
    features = torch.randn(2, INPUTS, 19, 23, dtype=torch.float64)
    dilation = 32 // stride
    dense = functional.conv2d(
        features,
        masked(state).double(),
        state["classifier.0.bias"].double(),
        padding=3 * dilation,
        dilation=dilation,
    )
    found = functional.conv2d(features, fc6.weight.double(), fc6.bias.double(), padding=rate, dilation=rate)
    torch.testing.assert_close(found, dense[:, :: UNITS // KEPT])


@torch.inference_mode()
def test_in_the_middle_of_a_pooled_map_it_is_torchvisions_layer(state):
    fc6 = decimated_layers(state, UNITS, "vgg16.pth")["fc6"]  # all units
    pooled = torch.randn(3, INPUTS, 7, 7)
    full = functional.linear(pooled.flatten(1), masked(state).flatten(1), state["classifier.0.bias"])
    torch.testing.assert_close(functional.conv2d(pooled, fc6.weight, fc6.bias, dilation=3)[..., 0, 0], full)


@torch.inference_mode()
def test_units_that_are_dropped_are_as_if_they_were_silent(state):
    """Every fourth unit is left; fc7 gives what the whole layer gives if all other units of fc6 are 0."""
    layers = decimated_layers(state, KEPT, "vgg16.pth")
    hidden = torch.rand(2, UNITS, 5, 4)
    kept = torch.tensor([unit % (UNITS // KEPT) == 0 for unit in range(UNITS)])
    whole = functional.conv2d(
        hidden * kept[:, None, None], state["classifier.3.weight"][..., None, None], state["classifier.3.bias"]
    )
    torch.testing.assert_close(layers["fc7"](hidden[:, kept]), whole[:, kept])


def test_a_file_without_the_layers_is_reported(state):
    with pytest.raises(UserError, match=r"vgg16\.pth: lacks VGG-16's fully connected layers \(classifier\.3\.bias\)"):
        decimated_layers({name: t for name, t in state.items() if name != "classifier.3.bias"}, KEPT, "vgg16.pth")
    for channels in (3, 5):
        with pytest.raises(UserError, match="other shapes than VGG-16's"):
            decimated_layers(state, channels, "vgg16.pth")


def test_the_names_and_shapes_are_those_of_the_network():
    trunk = Trunk(network="vgg16", output_stride=8, dilated=True)
    with torch.device("meta"):
        network = build_segmenter("largefov", LargeFov(backbone="any").options, trunk, ("cat",))
        layers = {"classifier.0": nn.Linear(512 * 49, 4096), "classifier.3": nn.Linear(4096, 4096)}
        found = decimated_layers(
            {f"{name}.{leaf}": t for name, layer in layers.items() for leaf, t in layer.state_dict().items()}, 1024, ""
        ).state_dict()
    own = network.state_dict()
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: own[name].shape for name in own if name.startswith(("fc6.", "fc7."))
    }
    assert network.fc6.dilation == network.fc6.padding == (12, 12)
