from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from wsss_core.config.networks import Trunk
from wsss_core.networks.resnet38 import RESNET38_ARCHITECTURES, BottleneckBlock, ResidualBlock, ResNet38Trunk
from wsss_core.networks.trunks import build_trunk

SMALL = Trunk(network="resnet38_small", output_stride=8)


@pytest.fixture
def trunk() -> ResNet38Trunk:
    torch.manual_seed(0)
    trunk = build_trunk(SMALL)
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return trunk.eval()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (8, 16), (33, 47), (31, 9)])
def test_shapes_are_as_announced_for_any_image_size(trunk, size):
    maps = trunk(torch.randn(2, 3, *size))
    assert trunk.strides == (4, 8, 8, 8)
    for features, channels, stride in zip(maps, trunk.channels, trunk.strides, strict=True):
        assert features.shape == (2, channels, *(-(-side // stride) for side in size))
        assert (features >= 0).all()


@torch.inference_mode()
def test_the_authors_network_has_their_sizes():
    with torch.device("meta"):
        trunk = build_trunk(Trunk(network="resnet38", output_stride=8))
        maps = trunk(torch.zeros(1, 3, 65, 100))
    assert [tuple(features.shape[1:]) for features in maps] == [
        (256, 17, 25),
        (512, 9, 13),
        (1024, 9, 13),
        (4096, 9, 13),
    ]
    assert [trunk.b5.conv_branch2a.dilation, trunk.b5.conv_branch2b1.dilation] == [(1, 1), (2, 2)]
    assert trunk.b5_1.conv_branch2a.dilation == trunk.b5_2.conv_branch2b1.dilation == (2, 2)
    assert trunk.b6.conv_branch2b1.dilation == trunk.b7.conv_branch2b1.dilation == (4, 4)
    assert (trunk.b6.dropout.p, trunk.b7.dropout.p) == (0.3, 0.5)
    convolutions = sum(isinstance(part, nn.Conv2d) for part in trunk.modules())
    assert convolutions == 43  # and one more in front of it all: the classifier's


@pytest.mark.parametrize("dropout", [(0.2, 0.2), (0.0, 0.4)])
def test_dropout_can_be_set(dropout):
    with torch.device("meta"):
        trunk = build_trunk(Trunk(network="resnet38", output_stride=8, dropout=dropout))
    assert (trunk.b6.dropout.p, trunk.b7.dropout.p) == dropout


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    trunk = ResNet38Trunk(RESNET38_ARCHITECTURES["resnet38_small"], (0.5, 0.5)).eval()
    images = torch.randn(1, 3, 24, 24)
    assert torch.equal(trunk(images)[-1], trunk(images)[-1])
    trunk.train()
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    assert torch.equal(trunk(images)[2], trunk(images)[2])  # before the bottlenecks there is none
    assert not torch.equal(trunk(images)[-1], trunk(images)[-1])


def test_blocks_are_the_formula(trunk):
    for block in (trunk.b2, trunk.b3, trunk.b6):
        features = torch.randn(1, block.bn_branch2a.num_features, 9, 7)
        entered = functional.relu(block.bn_branch2a(features))
        inner = functional.relu(block.bn_branch2b1(block.conv_branch2a(entered)))
        if isinstance(block, BottleneckBlock):
            inner = block.conv_branch2b2(functional.relu(block.bn_branch2b2(block.conv_branch2b1(inner))))
        else:
            inner = block.conv_branch2b1(inner)
        found, given = block(features)
        torch.testing.assert_close(found, block.conv_branch1(entered) + inner)
        assert torch.equal(given, entered)


def test_a_block_that_keeps_the_shape_passes_its_input_on():
    torch.manual_seed(0)
    block = ResidualBlock(4, 6, 4, 1, 1, 1).eval()
    nn.init.zeros_(block.conv_branch2b1.weight)
    features = torch.randn(1, 4, 5, 5)
    assert block.conv_branch1 is None
    assert torch.equal(block(features)[0], features)


def test_a_frozen_stem_takes_no_gradient(trunk):
    trunk.train()
    trunk.freeze_stem()
    trunk.train()
    trunk(torch.randn(2, 3, 32, 32))[-1].sum().backward()
    for name, parameter in trunk.named_parameters():
        assert (parameter.grad is None) == name.startswith(("conv1a.", "b2.")), name
    assert not trunk.b2.bn_branch2a.training
    assert trunk.b3.bn_branch2a.training


def test_the_stem_of_the_authors_network_is_all_of_stage_two():
    with torch.device("meta"):
        trunk = build_trunk(Trunk(network="resnet38", output_stride=8))
    trunk.freeze_stem()
    frozen = {name.split(".")[0] for name, parameter in trunk.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1a", "b2", "b2_1", "b2_2"}


def test_float64_computes_the_same(trunk):
    images = torch.randn(1, 3, 33, 26)
    single = trunk(images)
    for own, other in zip(trunk.double()(images.double()), single, strict=True):
        assert own.dtype == torch.float64
        torch.testing.assert_close(own.float(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dilations", "pixels"), [(None, 109), ((2, 4, 4), 221)])
def test_the_small_network_is_small_and_undilated(dilations, pixels):
    torch.manual_seed(0)
    architecture = RESNET38_ARCHITECTURES["resnet38_small"]
    trunk = ResNet38Trunk(replace(architecture, dilations=dilations or architecture.dilations)).double().eval()
    assert sum(parameter.numel() for parameter in trunk.parameters()) < 0.5e6
    image = torch.randn(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    trunk(image)[-1][0, :, 16, 16].sum().backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == pixels
