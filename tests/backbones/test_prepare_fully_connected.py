import pytest
import torch

from wsss_core.backbones import prepare_fully_connected as stage
from wsss_core.backbones.prepare_fully_connected import prepare_fully_connected
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import LargeFov
from wsss_core.errors import UserError
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.networks.weights import load_layers, load_weights

TRUNK = Trunk(network="resnet_small", output_stride=8)


@pytest.fixture
def torchvisions(monkeypatch, tmp_path):
    """A file of torchvision's in a small form: 12 units, as many inputs as the small trunk has."""
    torch.manual_seed(0)
    inputs = build_segmenter("largefov", LargeFov(backbone="any", channels=4).options, TRUNK, ("a",)).fc6.in_channels
    state = {
        "classifier.0.weight": torch.randn(12, inputs * 49),
        "classifier.0.bias": torch.randn(12),
        "classifier.3.weight": torch.randn(12, 12),
        "classifier.3.bias": torch.randn(12),
    }
    monkeypatch.setattr(stage, "imagenet_weights", lambda name: (state, tmp_path / f"{name}.pth"))
    return state


def test_a_segmenter_takes_the_layers_that_are_written(torchvisions, tmp_path):
    for name in ("one", "two"):
        prepare_fully_connected("vgg16", 4, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    torch.manual_seed(5)
    network = build_segmenter("largefov", LargeFov(backbone="any", channels=4).options, TRUNK, ("a",))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_layers(tmp_path / "one.safetensors", network)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias"}
    assert torch.equal(network.fc7.weight[1, 2, 0, 0], torchvisions["classifier.3.weight"][3, 6])
    assert torch.equal(network.fc7.bias, torchvisions["classifier.3.bias"][::3])
    _, description = load_weights(tmp_path / "one.safetensors")
    assert description["trained_on"] == "ImageNet"


def test_layers_of_another_width_are_reported(torchvisions, tmp_path):
    prepare_fully_connected("vgg16", 4, tmp_path / "layers.safetensors")
    network = build_segmenter("largefov", LargeFov(backbone="any", channels=6).options, TRUNK, ("a",))
    with pytest.raises(UserError, match=r"layers\.safetensors: the weights belong to another network.*fc6\.weight"):
        load_layers(tmp_path / "layers.safetensors", network)
