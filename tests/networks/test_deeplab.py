import pytest
import torch
from torch import nn

from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLab, DeepLabV2, DeepLabV3Plus, LargeFov, PspNet
from wsss_core.errors import UserError
from wsss_core.networks.deeplab import AtrousPyramid
from wsss_core.networks.segmenter_files import build_segmenter, load_segmenter, save_segmenter
from wsss_core.networks.weights import save_weights

SMALL = Trunk(network="resnet_small", output_stride=8)
CLASSES = ("cat", "dog", "cow")


KINDS = {
    "deeplab": DeepLab(classifier="any", atrous_rates=(1, 3)),
    "skip": DeepLab(classifier="any", atrous_rates=(1, 3), low_level_skip=True),
    "largefov": LargeFov(classifier="any", atrous_rate=3, channels=12),
    "deeplabv2": DeepLabV2(classifier="any", atrous_rates=(1, 3), input_scales=(0.5,)),
    "deeplabv3plus": DeepLabV3Plus(classifier="any", atrous_rates=(1, 3)),
    "pspnet": PspNet(classifier="any", bins=(1, 3)),
}


def build(kind, trunk=SMALL):
    torch.manual_seed(0)
    return build_segmenter(KINDS[kind].network, KINDS[kind].options, trunk, CLASSES)


@pytest.mark.parametrize("network", ["resnet_small", "resnet18", "resnet38_small", "vgg16_small"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_come_at_the_trunks_stride_or_a_quarter_of_the_size_or_all_of_it(kind, network):
    stride = {"skip": 4, "deeplabv3plus": 4, "pspnet": 1}.get(kind, 8)
    segmenter = build(kind, Trunk(network=network, output_stride=8)).eval()
    for height, width in [(32, 48), (33, 41), (1, 1)]:
        logits = segmenter(torch.zeros(2, 3, height, width))
        assert logits.shape == (2, 4, -(-height // stride), -(-width // stride))
        assert torch.equal(segmenter.all_logits(torch.zeros(2, 3, height, width))[-1], logits)


def test_the_pyramid_sums_its_branches():
    pyramid = AtrousPyramid(5, 3, (1, 2, 6))
    nn.init.normal_(pyramid.branches[1].bias)
    features = torch.randn(2, 5, 9, 7)
    expected = sum(
        nn.functional.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
        for branch, rate in zip(pyramid.branches, (1, 2, 6), strict=True)
    )
    torch.testing.assert_close(pyramid(features), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_segmenter_is_rebuilt_from_its_file_alone(tmp_path, kind):
    network = build(kind).eval()
    save_segmenter(tmp_path / "file.safetensors", network)
    loaded = load_segmenter(tmp_path / "file.safetensors")
    assert loaded.classes == ("background", *CLASSES)
    assert loaded.description == network.description
    assert not any(part.training for part in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    images = torch.randn(1, 3, 40, 32)
    assert torch.equal(loaded(images), network(images))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_the_trunks_or_new_and_has_one_rate(kind):
    network = build(kind)
    together = [*network.trunk.parameters(), *network.new_layers()]
    assert {id(parameter) for parameter in together} == {id(parameter) for parameter in network.parameters()}
    groups = network.parameter_groups(10)
    optimised = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(optimised) == len(set(optimised))
    left_out = {name for name, parameter in network.named_parameters() if id(parameter) not in optimised}
    assert all(network.get_parameter(name).ndim == 1 for name in left_out)  # batch normalisation
    assert bool(left_out) == (kind == "deeplabv2")


def test_the_large_field_of_view_is_a_dilated_convolution():
    network = build("largefov").eval()
    features = network.trunk(torch.randn(2, 3, 40, 56))[-1]
    hidden = nn.functional.conv2d(features, network.fc6.weight, network.fc6.bias, padding=3, dilation=3).relu()
    hidden = nn.functional.conv2d(hidden, network.fc7.weight, network.fc7.bias).relu()
    expected = nn.functional.conv2d(hidden, network.fc8.weight, network.fc8.bias)
    network.trunk.forward = lambda images: [features]
    torch.testing.assert_close(network(torch.zeros(1)), expected)
    network.train()
    assert not torch.equal(network(torch.zeros(1)), network(torch.zeros(1)))  # dropout


def test_vgg16s_biases_learn_twice_as_fast_and_do_not_decay():
    network = build("largefov", Trunk(network="vgg16_small", output_stride=8, dilated=True))
    groups = network.parameter_groups(10)
    assert [(group["factor"], group.get("weight_decay")) for group in groups] == [
        (1, None),
        (2, 0),
        (10, None),
        (20, 0),
    ]
    of = {id(p): number for number, group in enumerate(groups) for p in group["params"]}
    wanted = {"trunk.conv1_1.weight": 0, "trunk.conv1_1.bias": 1, "trunk.bn1_1.bias": 0, "fc6.weight": 0}
    wanted |= {"fc7.bias": 1, "fc8.weight": 2, "fc8.bias": 3}
    assert {name: of[id(network.get_parameter(name))] for name in wanted} == wanted
    network.trunk.conv1_1.requires_grad_(False)
    assert len(network.parameter_groups(10)[0]["params"]) == len(groups[0]["params"]) - 1


def test_deeplabv3plus_joins_fine_features_to_the_pyramids():
    network = build("deeplabv3plus").eval()
    images = torch.randn(2, 3, 40, 56)
    maps = network.trunk(images)
    coarse = nn.functional.interpolate(network.pyramid(maps[-1]), size=(10, 14), mode="bilinear")
    fine = network.skip(maps[1])  # layer2's of the small trunk: a quarter of the image's size
    assert (coarse.shape[1], fine.shape[1]) == (256, 48)
    torch.testing.assert_close(network(images), network.decoder(torch.cat([coarse, fine], dim=1)))
    dropout = [part.p for part in network.modules() if isinstance(part, nn.Dropout)]
    assert dropout == [0.5]


def test_another_networks_file_is_refused(tmp_path):
    save_weights(tmp_path / "file.safetensors", nn.Linear(1, 1), {"kind": "classifier"})
    with pytest.raises(UserError, match="not of a segmenter"):
        load_segmenter(tmp_path / "file.safetensors")
