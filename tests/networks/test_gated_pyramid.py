import pytest
import torch

from tests.classifiers.tiny_networks import CLASSES, tiny
from wsss_core.config.networks import Trunk
from wsss_core.networks.gated_pyramid import Gate, GatedPyramidClassifier, PyramidPooling

SMALL = Trunk(network="resnet38_small", output_stride=8)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (33, 47), (8, 8)])
def test_shapes_for_any_image_size(size):
    network = GatedPyramidClassifier(SMALL, CLASSES, feature_channels=9).eval()
    images = torch.randn(2, 3, *size)
    maps, pooled, logits = network.pool(images)
    assert maps.shape == pooled.shape == (2, 5, *(-(-side // 8) for side in size))
    assert logits.shape == (2, 5)
    assert torch.equal(logits, network(images))
    assert all(tensor.isfinite().all() for tensor in (maps, pooled, logits))


def test_the_small_network_is_pooled_by_all_of_the_authors_bins():
    network = GatedPyramidClassifier(SMALL, CLASSES)
    assert network.pooling.bins == (2, 4, 8, 16)
    assert [tuple(gate.positive.weight.shape) for gate in network.pooling.gates] == [(2, 10, 3, 3)] * 3
    assert network.reduction.weight.shape == (256, 192, 1, 1)


def test_gates_keep_the_sign_and_at_most_the_size():
    torch.manual_seed(0)
    gate = Gate(4).double()
    first, second = torch.randn(2, 3, 4, 6, 5, dtype=torch.float64)
    fused = gate(first, second)
    both, neither = (first > 0) & (second > 0), (first < 0) & (second < 0)
    assert (fused[both] > 0).all() and (fused[neither] < 0).all()
    assert (fused.abs() <= (first.abs() + second.abs()) / 2).all()
    torch.testing.assert_close(gate(torch.zeros_like(first), torch.zeros_like(first)), torch.zeros_like(first))


def test_gates_of_either_sign_are_their_own():
    torch.manual_seed(0)
    gate = Gate(2).double()
    maps = torch.rand(2, 1, 2, 4, 4, dtype=torch.float64)
    before = gate(*maps)
    torch.nn.init.zeros_(gate.negative.weight)
    assert torch.equal(gate(*maps), before)
    torch.testing.assert_close(gate(*-maps), -(maps[0] + maps[1]) / 4)  # both gates are a half


def test_constant_maps_stay_as_they_are_without_gates():
    maps = torch.tensor([2.0, -3.0])[None, :, None, None].expand(1, 2, 7, 5)
    for fusion in ("ungated", "average"):
        torch.testing.assert_close(PyramidPooling(2, (1, 2, 4), fusion, "coarse_to_fine")(maps), maps.contiguous())


def test_one_cell_is_the_mean():
    maps = torch.randn(2, 3, 6, 8)
    pooled = PyramidPooling(3, (1,), "gated", "coarse_to_fine")(maps)
    torch.testing.assert_close(pooled, maps.mean(dim=(2, 3), keepdim=True).expand_as(maps))


def test_logits_weigh_evidence_for_and_against():
    network = tiny(GatedPyramidClassifier, 2, feature_channels=7, bins=(1, 2))
    images = torch.randn(3, 3, 21, 18, dtype=torch.float64)
    maps, pooled, logits = network.pool(images)
    agree = torch.where(maps * pooled > 0, maps * pooled, 0)
    expected = (agree * torch.sign(maps)).mean(dim=(2, 3))
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(network(images), logits)
    torch.testing.assert_close(network.class_maps(images), maps)


def test_evidence_counts_what_speaks_for_a_class():
    for bins in ((1, 2), ()):
        network = tiny(GatedPyramidClassifier, 2, feature_channels=7, bins=bins)
        images = torch.randn(2, 3, 21, 18, dtype=torch.float64)
        maps, scores = network.evidence(images)
        raw, pooled, _ = network.pool(images)
        assert torch.equal(maps, raw.relu())
        expected = (raw.relu() * pooled.relu()) if bins else raw.relu()
        torch.testing.assert_close(scores, expected.mean(dim=(2, 3)))


def test_every_parameter_is_the_trunks_or_new():
    network = GatedPyramidClassifier(SMALL, CLASSES)
    new = {id(parameter) for parameter in network.new_parameters()}
    trunk = {id(parameter) for parameter in network.trunk.parameters()}
    assert not new & trunk
    assert new | trunk == {id(parameter) for parameter in network.parameters()}
    assert len(new) == 2 + 2 * 3


def test_features_that_speak_for_a_class_are_counted():
    network = tiny(GatedPyramidClassifier, 2, feature_channels=7)
    network.head.weight.data[1] = torch.tensor([1.0, 0, -1, 2, 0, 0, -3])[:, None, None]
    assert network.positive_weights(torch.tensor([1])).tolist() == [2]
