import pandas
import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import BACKBONE, CLASSES, write_images, write_trunk
from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.classifiers.train_classifier import OBJECTIVES, train_classifier
from wsss_core.config.networks import OrdinaryClassifier
from wsss_core.config.root import SECTIONS
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier, load_classifier
from wsss_core.networks.weights import load_weights


@pytest.fixture
def train(tmp_path):
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")

    def run(name="artifact", epochs=2, learning_rate=1e-3, **options):
        optimisation = Optimisation(optimizer="adamw", epochs=epochs, batch_size=3, learning_rate=learning_rate)
        parameters = OrdinaryClassifier(
            backbone="small", optimisation=optimisation, augmentation=Augmentation(crop=32, flip=False), **options
        )
        weights, curve = tmp_path / name / "weights.safetensors", tmp_path / name / "training.csv"
        train_classifier(parameters, BACKBONE, index, trunk, weights, curve, inputs=[trunk], device="cpu")
        return weights, pandas.read_csv(curve)

    return run, index, trunk


def changed_names(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_every_objective_of_the_configuration_can_be_trained():
    assert set(OBJECTIVES) == set(SECTIONS["classifiers"].kinds)


def test_the_ordinary_objective_is_a_cross_entropy_per_class():
    torch.manual_seed(0)
    classifier = ClassMapClassifier(BACKBONE, CLASSES).eval()
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    expected = functional.binary_cross_entropy(classifier(images).sigmoid(), labels)
    torch.testing.assert_close(OrdinaryObjective(classifier).losses(images, labels, 0)["loss"], expected)


def test_a_few_images_are_learned_by_heart(train):
    run, index, _ = train
    weights, curve = run(epochs=40, frozen_stem=False, freeze_batch_norm=True, learning_rate=3e-3)
    assert curve["loss"].iloc[-1] < 0.1 < curve["loss"].iloc[0]
    classifier = load_classifier(weights)
    assert classifier.classes == CLASSES
    for path, labels in zip(index.image_paths, index.label_matrix, strict=True):
        assert ((classifier(normalise(read_image(path))[None])[0] > 0).numpy() == labels).all()


def test_frozen_parts_stay_as_they_came(train):
    run, _, trunk = train
    before = load_weights(trunk)[0]
    frozen = changed_names(before, load_weights(run("frozen")[0])[0])
    assert frozen == {f"trunk.{name}" for name in _convolutions(("layer2", "layer3", "layer4"))}
    free = changed_names(before, load_weights(run("free", frozen_stem=False, freeze_batch_norm=False)[0])[0])
    assert free == set(before)
    stem = changed_names(before, load_weights(run("stem", freeze_batch_norm=False)[0])[0])
    assert not [name for name in stem if name.startswith(("trunk.conv1", "trunk.bn1", "trunk.layer1"))]
    assert "trunk.layer2.0.bn1.running_mean" in stem


def _convolutions(layers):
    return [f"{layer}.0.{part}.weight" for layer in layers for part in ("conv1", "conv2", "downsample.0")]


def test_the_same_settings_give_the_same_bytes_and_leave_nothing_behind(train):
    run, _, _ = train
    one, two = run("one")[0], run("two")[0]
    assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in one.parent.iterdir()) == ["training.csv", "weights.safetensors"]


def test_a_diverging_training_is_a_sentence(train):
    run, _, _ = train
    with pytest.raises(UserError, match="learning_rate"):
        run(epochs=20, learning_rate=1e30)
