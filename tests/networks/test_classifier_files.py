import importlib
import json
import pkgutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from tests.classifiers.tiny_networks import CLASSES
from wsss_core import networks
from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks import classifier_files
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import classifier_description, load_classifier, save_classifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier
from wsss_core.networks.weights import load_weights, save_weights

RESNET = Trunk(network="resnet_small", output_stride=8, dilated=True)
RESNET38 = Trunk(network="resnet38_small", output_stride=8, dropout=(0.1, 0.2))
VGG16 = Trunk(network="vgg16_small", output_stride=16, pixels="caffe")
OPTIONS = {"feature_channels": 9, "bins": (1, 3), "fusion": "average", "order": "fine_to_coarse"}
CLASSIFIERS = {
    "class_maps": lambda: ClassMapClassifier(RESNET, CLASSES),
    "class_maps of resnet38": lambda: ClassMapClassifier(RESNET38, ("ä", "b")),
    "gated_pyramid": lambda: GatedPyramidClassifier(RESNET38, CLASSES),
    "gated_pyramid with options": lambda: GatedPyramidClassifier(
        VGG16, CLASSES, 9, (1, 3), "average", "fine_to_coarse"
    ),
    "gated_pyramid without bins": lambda: GatedPyramidClassifier(RESNET, CLASSES, 9, ()),
    "self_erasing": lambda: SelfErasingClassifier(VGG16, CLASSES),
}


@pytest.fixture(params=CLASSIFIERS)
def classifier(request) -> ClassMapClassifier:
    torch.manual_seed(0)
    classifier = CLASSIFIERS[request.param]()
    classifier(torch.randn(2, 3, 33, 20))  # moves the statistics of batch normalisation
    return classifier


def test_a_classifier_is_rebuilt_from_its_file_alone(tmp_path, classifier):
    file = tmp_path / "file.safetensors"
    save_classifier(file, classifier)
    loaded = load_classifier(file)
    assert type(loaded) is type(classifier)
    assert loaded.classes == classifier.classes
    assert loaded.trunk_settings == classifier.trunk_settings
    assert classifier_description(loaded) == classifier_description(classifier)
    assert not any(part.training for part in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    classifier.eval()
    images = torch.randn(1, 3, 41, 35)
    assert torch.equal(loaded(images), classifier(images))
    assert torch.equal(loaded.class_maps(images), classifier.class_maps(images))
    for own, other in zip(loaded.evidence(images), classifier.evidence(images), strict=True):
        assert torch.equal(own, other)


def test_saving_what_was_loaded_gives_the_same_bytes(tmp_path, classifier):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_classifier(one, classifier)
    save_classifier(two, load_classifier(one))
    assert one.read_bytes() == two.read_bytes()


def test_float64_computes_the_same(tmp_path, classifier):
    classifier.eval()
    images = torch.randn(1, 3, 33, 26)
    single = classifier.class_maps(images), classifier(images)
    classifier.double()
    for own, other in zip((classifier.class_maps(images.double()), classifier(images.double())), single, strict=True):
        assert own.dtype == torch.float64
        torch.testing.assert_close(own.float(), other, rtol=1e-3, atol=1e-3)


def test_the_description_says_what_the_file_holds(tmp_path):
    file = tmp_path / "file.safetensors"
    save_classifier(file, CLASSIFIERS["gated_pyramid with options"]())
    with safe_open(file, framework="pt") as opened:
        description = json.loads(opened.metadata()["network"])
    assert description == {
        "kind": "classifier",
        "architecture": "gated_pyramid",
        "trunk": VGG16.model_dump(mode="json"),
        "classes": list(CLASSES),
        "options": {**OPTIONS, "bins": [1, 3]},
    }


def test_every_kind_has_a_name_of_its_own():
    for module in pkgutil.iter_modules(networks.__path__, "wsss_core.networks."):
        importlib.import_module(module.name)
    known = {name: kind for name, kind in ClassMapClassifier.known.items() if kind.__module__.startswith("wsss_core.")}
    assert {name: kind.architecture for name, kind in known.items()} == {name: name for name in known}
    # Those that only reading a file imports.
    assert {name: kind.__module__.rpartition(".")[2] for name, kind in known.items()} == {
        "class_maps": "classifier",
        **classifier_files._MODULES,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "unheard"},
        {"trunk": {"network": "unheard"}},
        {"trunk": {"network": "resnet18", "weights": "scratch"}},
        {"options": {"unheard": 1}},
        {"options": None},
        {"classes": None},
        {"classes": [1, 2]},
        {"classes": ["a", "a"]},
        {"classes": "cat"},
        {"architecture": ["class_maps"]},
        {"trunk": None},
        {"trunk": ["resnet_small"]},
    ],
)
def test_a_description_that_is_not_understood_is_a_sentence(tmp_path, change):
    file = tmp_path / "file.safetensors"
    classifier = ClassMapClassifier(RESNET, CLASSES)
    save_weights(file, classifier, {**classifier_description(classifier), **change})
    with pytest.raises(UserError, match=r"file\.safetensors: was written by another version"):
        load_classifier(file)


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        (lambda tensor: tensor.fill_(torch.nan), r"the values of .* are not finite"),
        (lambda tensor: tensor.fill_(-torch.inf), r"the values of .* are not finite"),
        (lambda tensor: tensor.to(torch.int32), r"belong to another network: .* of type torch\.int32"),
        (lambda tensor: tensor.bool(), r"belong to another network: .* of type torch\.bool"),
        (lambda tensor: tensor.to(torch.complex64), r"belong to another network: .* of type torch\.complex64"),
    ],
)
def test_weights_that_are_no_numbers_are_reported(tmp_path, value, reported):
    file = tmp_path / "file.safetensors"
    classifier = ClassMapClassifier(RESNET, CLASSES)
    save_classifier(file, classifier)
    state, description = load_weights(file)
    name = next(name for name in state if state[name].dim() == 4)
    state[name] = value(state[name])
    save_file(state, file, {"network": json.dumps(description)})
    with pytest.raises(UserError, match=rf"file\.safetensors: .*{reported}"):
        load_classifier(file)


@pytest.mark.parametrize("description", [100_000 * "[", "[1]", "null", "{", '"x"'])
def test_a_description_that_is_none_is_a_sentence(tmp_path, description):
    file = tmp_path / "file.safetensors"
    save_file({"a": torch.zeros(1)}, file, {"network": description})
    with pytest.raises(UserError, match=r"file\.safetensors: does not say which network"):
        load_classifier(file)


def test_weights_of_another_architecture_are_reported(tmp_path):
    file = tmp_path / "file.safetensors"
    classifier = ClassMapClassifier(RESNET, CLASSES)
    other = {**classifier_description(classifier), "architecture": "gated_pyramid"}
    save_weights(file, classifier, other)
    with pytest.raises(UserError, match=r"lacks .*reduction|lacks pooling"):
        load_classifier(file)
    save_weights(file, nn.Linear(1, 1), {"kind": "backbone"})
    with pytest.raises(UserError, match="holds weights of a backbone, not of a classifier"):
        load_classifier(file)


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_classifier(path, ClassMapClassifier(RESNET, ("cat", "dog")))
    assert load_classifier(path, classes=["cat", "dog"]).classes == ("cat", "dog")
    with pytest.raises(UserError, match="knows the classes cat, dog; the data set has cat, cow"):
        load_classifier(path, classes=("cat", "cow"))
