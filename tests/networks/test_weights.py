import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_trunk, load_weights, save_weights

SMALL = Trunk(network="resnet_small", output_stride=8)
CLASSES = ("cat", "dog")


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return ClassMapClassifier(SMALL, CLASSES)


def same(one, other):
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_written_is_read_and_the_bytes_are_the_same_each_time(tmp_path, classifier):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_weights(one, classifier, {"kind": "test", "b": [1, 2], "a": None})
    save_weights(two, classifier.to(memory_format=torch.channels_last), {"a": None, "b": [1, 2], "kind": "test"})
    assert one.read_bytes() == two.read_bytes()
    state, description = load_weights(one)
    assert description == {"kind": "test", "b": [1, 2], "a": None}
    assert same(dict(sorted(state.items())), dict(sorted(classifier.state_dict().items())))


def test_a_classifier_is_rebuilt_from_its_file_alone(tmp_path, classifier):
    images = torch.randn(2, 3, 33, 20)
    classifier(images)  # moves the statistics of batch normalisation
    save_classifier(tmp_path / "file.safetensors", classifier)
    loaded = load_classifier(tmp_path / "file.safetensors")
    assert loaded.classes == CLASSES
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(loaded(images), classifier.eval()(images))


def test_the_logit_is_a_linear_layer_on_pooled_features(classifier):
    images = torch.randn(2, 3, 33, 20)
    classifier.eval()
    maps = classifier.class_maps(images)
    assert maps.shape == (2, 2, 5, 3)
    assert (maps < 0).any()
    pooled = classifier.trunk(images)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(classifier(images), pooled @ classifier.head.weight[:, :, 0, 0].T)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 3)])
def test_a_classifier_takes_any_image_size(classifier, size):
    assert classifier.eval()(torch.zeros(1, 3, *size)).isfinite().all()


def test_a_trunk_is_taken_from_any_network_and_from_torchvisions_names(tmp_path, classifier):
    wanted = classifier.trunk.state_dict()
    save_classifier(tmp_path / "classifier.safetensors", classifier)
    save_file({**wanted, "fc.weight": torch.zeros(2, 2)}, tmp_path / "bare.safetensors")
    for name in ("classifier", "bare"):
        trunk = build_trunk(SMALL)
        load_trunk(tmp_path / f"{name}.safetensors", trunk)
        assert same(trunk.state_dict(), wanted)


def test_weights_of_another_network_are_refused_by_name(tmp_path, classifier):
    file = tmp_path / "classifier.safetensors"
    save_classifier(file, classifier)
    trunk = build_trunk(Trunk(network="resnet18"))
    with pytest.raises(UserError, match=r"lacks layer1\.1\.conv1\.weight.* more; it has conv1\.weight \[24, 3, 3, 3\]"):
        load_trunk(file, trunk)
    larger = nn.ModuleDict({**dict(classifier.trunk.named_children()), "more": nn.Linear(1, 1)})
    save_weights(file, nn.ModuleDict({"trunk": larger}), {})
    with pytest.raises(UserError, match=r"has more\.bias, more\.weight, which the network lacks"):
        load_trunk(file, build_trunk(SMALL))


def test_files_that_are_no_weights_are_named(tmp_path, classifier):
    file = tmp_path / "file.safetensors"
    with pytest.raises(UserError, match=re.escape(f"{file}: there is no such weights file")):
        load_weights(file)
    save_classifier(file, classifier)
    whole = file.read_bytes()
    for damaged in (b"", b"not weights at all", whole[:200], whole[:-10]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"damaged or no \.safetensors file|is empty|is text that begins with"):
            load_weights(file)
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="does not say which network"):
        load_classifier(file)
    save_weights(file, nn.Linear(1, 1), {"kind": "segmenter"})
    with pytest.raises(UserError, match="holds weights of a segmenter, not of a classifier"):
        load_classifier(file)
    unheard = {"architecture": "class_maps", "trunk": {"network": "unheard"}, "classes": [], "options": {}}
    save_weights(file, nn.Linear(1, 1), {"kind": "classifier", **unheard})
    with pytest.raises(UserError, match="another version"):
        load_classifier(file)
