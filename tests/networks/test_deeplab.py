import pytest
import torch
from torch import nn

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLab
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import AtrousPyramid, build_deeplab, load_deeplab, save_deeplab
from wsss_core.networks.weights import save_weights

SMALL = Trunk(network="resnet_small", output_stride=8)
CLASSES = ("cat", "dog", "cow")


def settings(skip):
    return DeepLab(classifier="any", atrous_rates=(1, 3), low_level_skip=skip)


@pytest.mark.parametrize(
    ("network", "skip", "stride"),
    [("resnet_small", False, 8), ("resnet_small", True, 4), ("resnet18", True, 4), ("resnet18", False, 8)],
)
def test_scores_come_at_the_trunks_stride_or_at_a_quarter_of_the_size(network, skip, stride):
    backbone = Trunk(network=network, output_stride=8)
    deeplab = build_deeplab(settings(skip), backbone, CLASSES).eval()
    for height, width in [(32, 48), (33, 41), (1, 1)]:
        logits = deeplab(torch.zeros(2, 3, height, width))
        assert logits.shape == (2, 4, -(-height // stride), -(-width // stride))


def test_the_pyramid_sums_its_branches():
    pyramid = AtrousPyramid(5, 3, (1, 2, 6))
    nn.init.normal_(pyramid.branches[1].bias)
    features = torch.randn(2, 5, 9, 7)
    expected = sum(
        nn.functional.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
        for branch, rate in zip(pyramid.branches, (1, 2, 6), strict=True)
    )
    torch.testing.assert_close(pyramid(features), expected)


@pytest.mark.parametrize("skip", [False, True])
def test_a_segmenter_is_rebuilt_from_its_file_alone(tmp_path, skip):
    torch.manual_seed(0)
    network = build_deeplab(settings(skip), SMALL, CLASSES).eval()
    save_deeplab(tmp_path / "file.safetensors", network, settings(skip), SMALL)
    loaded = load_deeplab(tmp_path / "file.safetensors")
    assert loaded.classes == ("background", *CLASSES)
    assert not loaded.training
    images = torch.randn(1, 3, 40, 32)
    assert torch.equal(loaded(images), network(images))


def test_every_parameter_is_the_trunks_or_new():
    network = build_deeplab(settings(True), SMALL, CLASSES)
    together = [*network.trunk.parameters(), *network.new_layers()]
    assert {id(parameter) for parameter in together} == {id(parameter) for parameter in network.parameters()}


def test_another_networks_file_is_refused(tmp_path):
    save_weights(tmp_path / "file.safetensors", nn.Linear(1, 1), {"kind": "classifier"})
    with pytest.raises(UserError, match="not of a segmenter"):
        load_deeplab(tmp_path / "file.safetensors")
