import pytest
import torch

from tests.classifiers.tiny_networks import CLASSES, tiny
from wsss_core.config.networks import Trunk
from wsss_core.networks.self_erasing import SelfErasingClassifier, attention

SMALL = Trunk(network="vgg16_small")
LABELS = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1]], dtype=torch.float64)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (33, 47), (16, 16)])
def test_shapes_for_any_image_size(size):
    network = SelfErasingClassifier(SMALL, CLASSES).eval()
    images, cells = torch.randn(2, 3, *size), tuple(-(-side // 16) for side in size)
    features = network.features(images)
    maps = network.branch_maps(features, LABELS, 0.7, 0.05)
    assert features.shape == (2, 96, *cells)
    assert maps.first.shape == maps.second.shape == (2, 5, *cells)
    assert maps.seen.shape == (2, *cells)
    assert all(tensor.isfinite().all() for tensor in maps)


def test_on_its_own_it_is_its_first_branch():
    network = tiny(SelfErasingClassifier, 1)
    images = torch.randn(2, 3, 22, 17, dtype=torch.float64)
    maps = network.branch_maps(network.features(images), LABELS, 0.7, 0.05)
    torch.testing.assert_close(network.class_maps(images), maps.first)
    torch.testing.assert_close(network(images), maps.first.mean(dim=(2, 3)))
    torch.testing.assert_close(maps.seen, attention(maps.first, LABELS))
    rectified, scores = network.evidence(images)
    torch.testing.assert_close(rectified, maps.first.relu())
    torch.testing.assert_close(scores, rectified.mean(dim=(2, 3)))


def test_without_anything_erased_the_second_branch_sees_the_features():
    network = tiny(SelfErasingClassifier, 1)
    features = network.features(torch.randn(2, 3, 22, 17, dtype=torch.float64))
    nothing = network.branch_maps(features, torch.zeros_like(LABELS), 0.7, None)
    torch.testing.assert_close(nothing.second, network.second(features))
    assert not nothing.seen.any()
    all_background = network.branch_maps(features, torch.zeros_like(LABELS), 0.7, 0.05)
    torch.testing.assert_close(all_background.second, network.second(-features))


def test_what_is_attended_to_depends_on_the_labels_and_the_threshold():
    network = tiny(SelfErasingClassifier, 1)
    features = network.features(torch.randn(2, 3, 40, 40, dtype=torch.float64))
    one, other = (network.branch_maps(features, labels, 0.7, 0.05) for labels in (LABELS, LABELS.flip(1)))
    assert torch.equal(one.first, other.first)
    assert not torch.equal(one.second, other.second)
    lower = network.branch_maps(features, LABELS, 0.3, 0.05)
    assert not torch.equal(one.second, lower.second)


def test_dropout_is_in_the_first_branch_alone():
    network = SelfErasingClassifier(SMALL, CLASSES).train()
    features = torch.rand(1, 96, 4, 4)
    assert not torch.equal(network.first(features), network.first(features))
    assert torch.equal(network.second(features), network.second(features))


def test_a_map_without_range_is_no_attention():
    assert not attention(torch.full((1, 5, 3, 3), 2.0), torch.ones(1, 5)).any()
    assert not attention(torch.full((1, 5, 3, 3), -2.0), torch.ones(1, 5)).any()


def test_every_parameter_is_the_trunks_or_new():
    network = SelfErasingClassifier(SMALL, CLASSES)
    new = {id(parameter) for parameter in network.new_parameters()}
    trunk = {id(parameter) for parameter in network.trunk.parameters()}
    assert not new & trunk
    assert new | trunk == {id(parameter) for parameter in network.parameters()}


def test_features_that_speak_for_a_class_are_counted():
    network = tiny(SelfErasingClassifier, 2)
    network.first.score.weight.data[3] = torch.tensor([1.0, 0, -1, 2, 0, 5])[:, None, None]
    network.second.score.weight.data[3] = -1
    assert network.positive_weights(torch.tensor([3])).tolist() == [3]
