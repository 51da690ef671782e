import pytest
import torch
import torchvision
from torch import nn

from wsss_core.config.networks import Trunk
from wsss_core.networks.batch_norm import fixed_statistics, freeze_batch_norm
from wsss_core.networks.resnet import ARCHITECTURES, LAYERS, ResNetTrunk
from wsss_core.networks.trunks import build_trunk


def torchvision_maps(network, images):
    features = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    maps = []
    for name in LAYERS:
        features = getattr(network, name)(features)
        maps.append(features)
    return maps


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def reference(request):
    torch.manual_seed(0)
    network = getattr(torchvision.models, request.param)().double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    weights = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    return request.param, network, weights


def trunk_with(name, weights, output_stride, dilated):
    trunk = ResNetTrunk(ARCHITECTURES[name], output_stride, dilated).double().eval()
    trunk.load_state_dict(weights)
    return trunk


def test_computes_what_torchvision_computes(reference):
    name, network, weights = reference
    images = torch.randn(2, 3, 65, 50, dtype=torch.float64)
    maps = trunk_with(name, weights, 32, False)(images)
    for own, expected in zip(maps, torchvision_maps(network, images), strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_keeps_the_original_values_in_between_others(reference, output_stride):
    name, network, weights = reference
    images = torch.randn(1, 3, 65, 50, dtype=torch.float64)
    trunk = trunk_with(name, weights, output_stride, True)
    for own, expected, stride, original in zip(
        trunk(images), torchvision_maps(network, images), trunk.strides, (4, 8, 16, 32), strict=True
    ):
        step = original // stride
        torch.testing.assert_close(own[:, :, ::step, ::step], expected)


def test_dilated_bottlenecks_are_torchvisions():
    torch.manual_seed(0)
    network = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    weights = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    trunk = trunk_with("resnet50", weights, 8, True).float()
    images = torch.randn(1, 3, 40, 48)
    assert torch.equal(trunk(images)[-1], torchvision_maps(network, images)[-1])


def test_without_dilation_the_first_layers_are_torchvisions_and_the_last_keep_their_size(reference):
    name, network, weights = reference
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    maps = trunk_with(name, weights, 16, False)(images)
    expected = torchvision_maps(network, images)
    for own, other in zip(maps[:3], expected[:3], strict=True):
        torch.testing.assert_close(own, other)
    assert maps[3].shape[2:] == (4, 4)


@pytest.mark.parametrize("network", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet_small"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_shapes_are_as_announced_for_any_image_size(network, output_stride):
    if network == "resnet101" and output_stride == 8:
        pytest.skip("as resnet50, and slow")
    trunk = build_trunk(Trunk(network=network, output_stride=output_stride)).eval()
    assert trunk.strides[-1] == output_stride
    for height, width in [(1, 1), (1, 30), (33, 47)]:
        with torch.inference_mode():
            maps = trunk(torch.zeros(1, 3, height, width))
        for features, channels, stride in zip(maps, trunk.channels, trunk.strides, strict=True):
            assert features.shape == (1, channels, -(-height // stride), -(-width // stride))


def test_the_small_network_is_small_and_short_sighted():
    trunk = build_trunk(Trunk(network="resnet_small", output_stride=8))
    assert 0.3e6 < sum(parameter.numel() for parameter in trunk.parameters()) < 0.4e6
    image = torch.randn(1, 3, 160, 160, requires_grad=True)
    trunk.eval()(image)[-1][0, :, 10, 10].sum().backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) < 80


def test_frozen_batch_norm_stays_frozen_when_the_network_is_set_to_train():
    trunk = build_trunk(Trunk(network="resnet_small", output_stride=8))
    names = list(trunk.state_dict())
    freeze_batch_norm(trunk)
    trunk.train()
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    trunk(torch.randn(4, 3, 32, 32))[-1].sum().backward()
    assert list(trunk.state_dict()) == names
    assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())
    assert trunk.layer4[0].bn1.weight.grad is None
    assert trunk.layer4[0].conv1.weight.grad is not None
    assert trunk.training and not trunk.bn1.training


def test_a_frozen_stem_takes_no_gradient():
    trunk = build_trunk(Trunk(network="resnet_small", output_stride=8)).train()
    trunk.freeze_stem()
    trunk.train()
    trunk(torch.randn(4, 3, 32, 32))[-1].sum().backward()
    for name, parameter in trunk.named_parameters():
        assert (parameter.grad is None) == name.startswith(("conv1", "bn1", "layer1")), name
    assert not trunk.layer1[0].bn1.training
    assert trunk.layer2[0].bn1.training


def test_statistics_are_fixed_for_a_while_alone():
    trunk = build_trunk(Trunk(network="resnet_small", output_stride=8)).train()
    freeze_batch_norm(trunk.layer1)
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    modes = [part.training for part in trunk.modules()]
    images = torch.randn(4, 3, 32, 32)
    with fixed_statistics(trunk):
        fixed = trunk(images)[-1]
    assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())
    assert [part.training for part in trunk.modules()] == modes
    torch.testing.assert_close(fixed, trunk.eval()(images)[-1])
    with pytest.raises(RuntimeError), fixed_statistics(trunk.train()):
        raise RuntimeError
    assert [part.training for part in trunk.modules()] == modes
    trunk(images)
    assert not torch.equal(before["bn1.running_mean"], trunk.bn1.running_mean)
