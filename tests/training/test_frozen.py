import copy

import pytest
import torch
from torch import nn

from wsss_core.classifiers.cgnet import CgnetObjective
from wsss_core.config.classifiers import CgnetClassifier
from wsss_core.config.networks import Trunk
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.irn import build_irn
from wsss_core.training.frozen import frozen_copy, memory_format

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CLASSES = ("a", "b", "c", "d", "e")


def classifier(network: str, seed: int) -> ClassMapClassifier:
    """In float64, with batch normalisation that does something."""
    torch.manual_seed(seed)
    made = ClassMapClassifier(Trunk(network=network, output_stride=8), CLASSES)
    learn_statistics(made)
    return made.double().eval()


def learn_statistics(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize("network", ["resnet_small", "resnet38_small", "vgg16_small"])
def test_cgnets_judge_without_gradients_gives_what_the_authors_judge_gives(network):
    """Losses, and the gradients of the network that is trained, in float64."""
    trained, ordinary = classifier(network, 1), classifier(network, 2)
    images, labels = torch.randn(3, 3, 40, 33, dtype=torch.float64), torch.eye(5, dtype=torch.float64)[[0, 2, 4]]
    labels[0, 3] = 1
    settings = CgnetClassifier(backbone="b", ordinary="o")

    def step(judge, gradients):
        network = copy.deepcopy(trained)
        objective = CgnetObjective(network, settings, judge)
        judge.requires_grad_(gradients)
        torch.manual_seed(3)
        losses = objective.losses(images, labels, 2)
        losses["loss"].backward()
        return losses, {name: weight.grad for name, weight in network.named_parameters()}

    authors, folded = copy.deepcopy(ordinary), frozen_copy(ordinary, CPU, "float32")
    before = copy.deepcopy(folded.state_dict())
    expected, found = step(authors, True), step(folded, False)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert all(weight.grad is not None for weight in authors.parameters())  # buffers that nobody reads
    assert all(weight.grad is None and not weight.requires_grad for weight in folded.parameters())
    torch.testing.assert_close(folded.state_dict(), before, rtol=0, atol=0)
    assert not folded.training


def test_a_copy_for_autocast_is_used_under_autocast():
    ordinary = classifier("resnet_small", 4).float()
    images = torch.randn(2, 3, 32, 32)
    folded = frozen_copy(ordinary, CPU, "bfloat16")
    with torch.autocast("cpu", torch.bfloat16):
        logits = folded(images)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, ordinary(images), rtol=0.1, atol=0.1)


def test_irns_trunk_may_be_a_copy():
    """Results are the same, and so are state dict and gradients, of which the trunk has none."""
    torch.manual_seed(5)
    plain = build_irn(Trunk(network="resnet_small", output_stride=8), 48)
    learn_statistics(plain)
    plain.double().train()
    images = torch.randn(2, 3, 48, 40, dtype=torch.float64)
    other = copy.deepcopy(plain)
    other.use_for_trunk(frozen_copy(other.trunk, CPU, "float32"))
    results = [network(images) for network in (plain, other)]
    torch.testing.assert_close(results[1], results[0], rtol=1e-10, atol=1e-12)
    for network, (logits, displacements) in zip((plain, other), results, strict=True):
        (logits.square().mean() + displacements.square().mean()).backward()
        assert all(weight.grad is None for weight in network.trunk.parameters())
    gradients = [{name: weight.grad for name, weight in network.named_parameters()} for network in (plain, other)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(other.state_dict(), plain.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        (CPU, "float32", torch.channels_last),
        (CPU, "bfloat16", torch.channels_last),
        (CUDA, "float32", torch.contiguous_format),
        (CUDA, "bfloat16", torch.channels_last),
    ],
)
def test_the_layout_follows_device_and_precision(device, precision, expected):
    assert memory_format(device, precision) == expected
