import copy

import pytest
import torch
from torch import nn

from tests.networks.test_folded import CLASSIFIERS, classifier
from wsss_core.networks.bfloat16 import with_bfloat16_trunk
from wsss_core.networks.folded import folded_for_inference


@pytest.mark.parametrize("folded", [False, True], ids=["as it is", "folded"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_maps_within_the_formats_rounding(name, folded):
    network = classifier(name).float()
    images = torch.randn(2, 3, 65, 50)
    expected = network.class_maps(images)
    copied = folded_for_inference(network, by_hand=False) if folded else copy.deepcopy(network)
    found = with_bfloat16_trunk(copied).class_maps(images)
    assert found.dtype == torch.float32
    error = torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected)
    assert 1e-4 < error < 0.1


def test_what_is_asked_of_a_classifier_stays_float32():
    network = with_bfloat16_trunk(folded_for_inference(classifier("resnet50").float(), by_hand=False))
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    images = torch.randn(2, 3, 65, 50).requires_grad_()
    maps, scores = network.evidence(images)
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    assert maps.dtype == scores.dtype == gradient.dtype == torch.float32
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_all_convolutions_of_the_trunk_compute_in_bfloat16():
    network = with_bfloat16_trunk(classifier("resnet38_small").float())
    formats = []
    for part in network.trunk._trunk[0].modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda layer, given, output: formats.append((given[0].dtype, output.dtype)))
    network.class_maps(torch.randn(1, 3, 33, 33))
    assert len(formats) > 10 and set(formats) == {(torch.bfloat16, torch.bfloat16)}
