import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from tests.cams.tiny_network import TinyClassifier
from wsss_core.config.networks import Trunk
from wsss_core.networks import folded
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.folded import folded_for_inference
from wsss_core.networks.fused_blocks import FusedBlock
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.networks.self_erasing import SelfErasingClassifier

CLASSES = ("a", "b", "c", "d", "e")
CLASSIFIERS = {
    "resnet_small": (ClassMapClassifier, {"network": "resnet_small", "output_stride": 8}),
    "resnet18, dilated": (ClassMapClassifier, {"network": "resnet18", "output_stride": 8, "dilated": True}),
    "resnet50": (ClassMapClassifier, {"network": "resnet50", "output_stride": 16}),
    "resnet50, Caffe's": (
        ClassMapClassifier,
        {"network": "resnet50", "output_stride": 8, "dilated": True, "pixels": "caffe"},
    ),
    "resnet38_small": (ClassMapClassifier, {"network": "resnet38_small", "output_stride": 8}),
    "vgg16_small": (SelfErasingClassifier, {"network": "vgg16_small"}),
    "vgg16_small, dilated": (ClassMapClassifier, {"network": "vgg16_small", "output_stride": 8, "dilated": True}),
    "gated pyramid": (GatedPyramidClassifier, {"network": "resnet38_small", "output_stride": 8}),
}
NORMS_LEFT = {"resnet38_small": 7, "gated pyramid": 7}
"""Of four residual and two bottleneck blocks those at the entry, and the last one."""


def classifier(name: str) -> ClassMapClassifier:
    torch.manual_seed(5)
    kind, settings = CLASSIFIERS[name]
    return with_statistics(kind(Trunk(**settings), CLASSES))


def with_statistics(network: nn.Module) -> nn.Module:
    """In float64, its norms as if they had seen something."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.2)
            nn.init.normal_(part.bias, 0, 0.1)
    return network.double().eval().requires_grad_(False)


def climbed(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, scores and a gradient."""
    images = images.clone().requires_grad_()
    maps, scores = network.evidence(images)
    return maps.detach(), scores.detach(), torch.autograd.grad(scores.sum() + maps.square().mean(), images)[0]


def norms(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


@pytest.mark.parametrize("size", [(33, 50), (7, 1)], ids=str)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_function_of_the_image(name, size):
    network = classifier(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    copy = folded_for_inference(network)
    assert norms(copy) == NORMS_LEFT.get(name, 0) < norms(network)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    for found, expected in zip(climbed(copy, images), climbed(network, images), strict=True):
        scale = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * max(scale, 1e-3))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_in_float32_within_its_rounding(name):
    network, images = classifier(name), torch.randn(2, 3, 65, 50)
    expected = climbed(network, images.double())
    copy = folded_for_inference(network.float())
    if name.startswith("resnet") and "38" not in name:
        assert all(isinstance(block, FusedBlock) for block in copy.trunk.layer3)
    for found, exact, largest in zip(climbed(copy, images), expected, (5e-5, 5e-5, 1e-2), strict=True):
        assert torch.linalg.vector_norm(found - exact) <= largest * torch.linalg.vector_norm(exact)


def test_what_is_not_known_is_copied():
    tiny = TinyClassifier()
    copy = folded_for_inference(tiny)
    assert copy is not tiny and copy.trunk[0].weight is not tiny.trunk[0].weight
    images = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(copy.class_maps(images), tiny.class_maps(images))


def test_a_subclass_of_a_known_block_keeps_its_norms():
    class Late(BasicBlock):
        """Normalises after the second convolution alone."""

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.bn2(self.conv2(self.conv1(x))) + self.bn1(x))

    network = nn.Sequential(Late(4, 4)).double().eval()
    network[0].bn1.running_mean.normal_()
    features = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    copy = folded_for_inference(network)
    assert norms(copy) == 2
    torch.testing.assert_close(copy(features), network(features))


def test_a_norm_without_statistics_or_weights():
    network = nn.Sequential(BasicBlock(4, 4)).double().eval()
    network[0].bn1 = nn.BatchNorm2d(4, track_running_stats=False).double().eval()
    network[0].bn2 = nn.BatchNorm2d(4, affine=False).double().eval()
    network[0].bn2.running_var.uniform_(0.5, 1.5)
    features = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    copy = folded.folded_for_inference(network)
    assert norms(copy) == 1
    torch.testing.assert_close(copy(features), network(features), rtol=0, atol=1e-12)


SEGMENTERS = {
    "deeplab": ("resnet_small", {"atrous_rates": (1, 2), "low_level_skip": True}),
    "largefov": ("vgg16_small", {"atrous_rate": 2, "channels": 8, "dropout": 0.5}),
    "deeplabv2": ("resnet_small", {"atrous_rates": (2, 4), "input_scales": (0.5,)}),
    "deeplabv3plus": ("resnet_small", {"atrous_rates": (1, 2), "dropout": 0.5}),
    "pspnet": ("resnet_small", {"bins": (1, 2)}),
}


def segmenter(name: str) -> SegmentationNetwork:
    torch.manual_seed(5)
    trunk, options = SEGMENTERS[name]
    return with_statistics(build_segmenter(name, options, Trunk(network=trunk, output_stride=8), CLASSES))


@pytest.mark.parametrize("size", [(33, 50), (9, 1)], ids=str)
@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters_have_the_same_scores(name, size):
    network, images = segmenter(name), torch.randn(2, 3, *size, dtype=torch.float64)
    copy = folded_for_inference(network)
    assert norms(copy) == 0
    with torch.inference_mode():
        expected = network(images)
        torch.testing.assert_close(copy(images), expected, rtol=0, atol=1e-8 * expected.abs().max().item())
        for by_hand in (True, False):
            found = folded_for_inference(network.float(), by_hand)(images.float())
            assert torch.linalg.vector_norm(found - expected) <= 5e-5 * torch.linalg.vector_norm(expected)


def test_layers_in_sequence_are_folded_unless_something_stands_between():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    copy = folded_for_inference(with_statistics(network))
    assert [type(layer) for layer in copy[1:]] == [nn.ReLU, nn.BatchNorm2d, nn.Conv2d, nn.Identity]
    features = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(copy(features), network(features), rtol=0, atol=1e-12)
