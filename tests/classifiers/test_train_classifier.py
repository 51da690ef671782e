import re

import pandas
import pytest
import torch
from torch.nn import functional

import wsss_core.classifiers.train_classifier as train_classifier_module
from tests.refinement.tiny_data import CLASSES, TRUNK, write_images, write_trunk
from wsss_core.classifiers.objective import OBJECTIVES
from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.classifiers import (
    AeftClassifier,
    CgnetClassifier,
    Classifier,
    OrdinaryClassifier,
    SeenetClassifier,
)
from wsss_core.config.networks import Trunk
from wsss_core.config.sections import SECTIONS
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier
from wsss_core.networks.weights import load_weights
from wsss_core.training import make_weights


def settings(kind: type[Classifier] = OrdinaryClassifier, epochs=2, learning_rate=1e-3, batch_size=3, **options):
    optimisation = Optimisation(optimizer="adamw", epochs=epochs, batch_size=batch_size, head_factor=10)
    # Also one that no configuration may have, with which a training diverges at once.
    optimisation = optimisation.model_copy(update={"learning_rate": learning_rate})
    augmentation = Augmentation(crop=32, flip=False)
    return kind(backbone="small", optimisation=optimisation, augmentation=augmentation, **options)


@pytest.fixture
def train(tmp_path):
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")

    def run(name="artifact", start=None, parameters=None, **options):
        parameters = parameters or settings(**options)
        weights, curve = tmp_path / name / "weights.safetensors", tmp_path / name / "training.csv"
        start = start or StartingWeights(backbone=trunk)
        train_classifier(parameters, TRUNK, index, start, weights, curve, run=Run(inputs=[trunk], device="cpu"))
        return weights, pandas.read_csv(curve)

    return run, index, trunk


def changed_names(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def save_random(path, network):
    save_classifier(path, network)
    return path


@pytest.mark.parametrize("name", SECTIONS["classifiers"].kinds)
def test_every_objective_of_the_configuration_is_found(name):
    assert OBJECTIVES.find(name).__name__.lower() == f"{name}objective"


def test_an_unknown_objective_is_reported():
    with pytest.raises(ModuleNotFoundError):
        OBJECTIVES.find("unheard")


def test_the_ordinary_objective_is_a_cross_entropy_per_class():
    torch.manual_seed(0)
    classifier = ClassMapClassifier(TRUNK, CLASSES).eval()
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    expected = functional.binary_cross_entropy(classifier(images).sigmoid(), labels)
    objective = OrdinaryObjective(classifier, OrdinaryClassifier(backbone="b"), None)
    torch.testing.assert_close(objective.losses(images, labels, 0)["loss"], expected)


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
    left = {path.name for path in one.parent.rglob("*") if path.is_file()}
    left = {re.sub(r"^finished-\d+-\d+-", "finished-", name) for name in left}
    assert left == {f"{mark}{name}" for mark in ("", "finished-") for name in ("training.csv", "weights.safetensors")}


def test_a_diverging_training_is_a_sentence(train):
    run, _, _ = train
    with pytest.raises(UserError, match="learning_rate"):
        run(epochs=20, learning_rate=1e30)


def test_a_training_starts_from_another_classifier(train, tmp_path):
    run, _, _ = train
    torch.manual_seed(3)
    start = ClassMapClassifier(TRUNK, CLASSES)
    file = save_random(tmp_path / "start.safetensors", start)
    given = start.state_dict()
    # A learning rate that moves nothing: what comes out is what went in.
    same = load_weights(run("same", StartingWeights(classifier=file), learning_rate=1e-30)[0])[0]
    assert not changed_names(given, same)
    aeft = settings(AeftClassifier, learning_rate=1e-30, feature_channels=5, bins=(2, 4), warmup_epochs=1)
    other = load_weights(run("aeft", StartingWeights(classifier=file), aeft)[0])[0]
    assert not changed_names({name: given[name] for name in given if name.startswith("trunk.")}, other)
    assert other["head.weight"].shape == (3, 5, 1, 1)  # of another shape: the objective's own


def test_an_imported_classifier_is_used_as_it_is(train, tmp_path):
    run, _, _ = train
    torch.manual_seed(3)
    start = ClassMapClassifier(TRUNK, CLASSES)
    file = save_random(tmp_path / "start.safetensors", start)
    weights, curve = run(start=StartingWeights(classifier=file), epochs=0, weights="start.safetensors")
    assert curve.empty
    loaded = load_classifier(weights)
    assert loaded.classes == CLASSES
    assert not changed_names(start.state_dict(), loaded.state_dict())


@pytest.mark.parametrize(
    ("network", "difference"),
    [
        (lambda: ClassMapClassifier(TRUNK, ("a", "b")), r"classes is \['a', 'b'\], not \['bird'"),
        (lambda: GatedPyramidClassifier(TRUNK, CLASSES), "architecture is gated_pyramid, not class_maps"),
        (lambda: ClassMapClassifier(Trunk(network="vgg16_small"), CLASSES), "trunk is .*vgg16_small"),
    ],
)
def test_another_classifier_than_asked_for_is_refused(train, tmp_path, network, difference):
    run, _, _ = train
    file = save_random(tmp_path / "start.safetensors", network())
    with pytest.raises(UserError, match=difference):
        run(start=StartingWeights(classifier=file), epochs=0, weights="start.safetensors")


def test_a_trunk_of_another_kind_is_refused_as_a_start(train, tmp_path):
    run, _, _ = train
    file = save_random(tmp_path / "start.safetensors", ClassMapClassifier(Trunk(network="vgg16_small"), CLASSES))
    with pytest.raises(UserError, match="belong to another network"):
        run(start=StartingWeights(classifier=file))


def test_cgnet_leaves_the_ordinary_classifier_alone_and_reports_both_losses(train, tmp_path):
    run, _, trunk = train
    torch.manual_seed(3)
    ordinary = save_random(tmp_path / "ordinary.safetensors", ClassMapClassifier(TRUNK, CLASSES))
    before = ordinary.read_bytes()
    parameters = settings(CgnetClassifier, ordinary="o")
    weights, curve = run("cgnet", StartingWeights(backbone=trunk, ordinary=ordinary), parameters)
    assert (curve["loss"] - curve["classification"] - curve["erasing"]).abs().max() < 1e-6
    assert isinstance(load_classifier(weights), ClassMapClassifier)
    assert ordinary.read_bytes() == before


def test_an_ordinary_classifier_of_other_classes_is_refused(train, tmp_path):
    run, _, trunk = train
    ordinary = save_random(tmp_path / "ordinary.safetensors", ClassMapClassifier(TRUNK, ("a", "b")))
    with pytest.raises(UserError, match="knows the classes a, b; the data set has bird, cat, dog"):
        run("cgnet", StartingWeights(backbone=trunk, ordinary=ordinary), settings(CgnetClassifier, ordinary="o"))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (settings(CgnetClassifier, ordinary="o"), "'mask_maximum: batch' scales each mask by the largest value"),
        (settings(AeftClassifier, warmup_epochs=1), "the triplets of 'repulsion_weight' are formed within a batch"),
        (
            settings(AeftClassifier, warmup_epochs=1, repulsion_weight=0),
            "'classified_images' counts the images of a batch",
        ),
        (settings(CgnetClassifier, ordinary="o", mask_maximum="image"), None),
        (settings(AeftClassifier, warmup_epochs=1, repulsion_weight=0, classified_images=None), None),
        (settings(SeenetClassifier), None),
    ],
)
def test_what_several_gpus_would_make_another_method_is_refused(train, tmp_path, monkeypatch, parameters, reason):
    run, _, trunk = train
    ordinary = save_random(tmp_path / "ordinary.safetensors", ClassMapClassifier(TRUNK, CLASSES))
    monkeypatch.setattr(train_classifier_module, "number_of_processes", lambda: 2)
    monkeypatch.setattr(make_weights, "fit", lambda *_: [])
    start = StartingWeights(backbone=trunk, ordinary=ordinary)
    if reason is None:
        run(start=start, parameters=parameters)
    else:
        with pytest.raises(UserError, match=f"on 2 GPUs this training would be another method, as {reason}"):
            run(start=start, parameters=parameters)


def test_aeft_trains_with_triplets_after_the_warmup(train):
    run, _, _ = train
    options = {"feature_channels": 8, "bins": (2, 4), "warmup_epochs": 1, "fewest_hard_triplets": 1, "margin": 9.0}
    parameters = settings(AeftClassifier, batch_size=1, triplet_batch_size=3, negatives="disjoint", **options)
    weights, curve = run(parameters=parameters)
    assert isinstance(load_classifier(weights), GatedPyramidClassifier)
    assert curve[["attraction", "repulsion"]].isna().iloc[0].all()
    assert (curve[["attraction", "repulsion"]].iloc[1] > 0).all()


def test_seenet_trains_two_branches(train):
    run, _, _ = train
    weights, curve = run(parameters=settings(SeenetClassifier, epochs=3))
    assert isinstance(load_classifier(weights), SelfErasingClassifier)
    parts = curve[["initial", "erased", "background"]]
    assert (curve["loss"] - parts.sum(axis=1)).abs().max() < 1e-6
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (OrdinaryClassifier, {}),
        (CgnetClassifier, {"ordinary": "o"}),
        (SeenetClassifier, {}),
        (AeftClassifier, {"warmup_epochs": 1, "triplet_batch_size": 3, "fewest_hard_triplets": 1, "bins": (2, 4)}),
    ],
)
def test_every_objective_trains_in_bfloat16(train, tmp_path, kind, options):
    run, _, trunk = train
    ordinary = None
    if kind is CgnetClassifier:
        torch.manual_seed(7)
        ordinary = save_random(tmp_path / "ordinary.safetensors", ClassMapClassifier(TRUNK, CLASSES))
    start = StartingWeights(backbone=trunk, ordinary=ordinary)
    curves = []
    for precision in ("float32", "bfloat16"):
        parameters = settings(kind, **options)
        optimisation = parameters.optimisation.model_copy(update={"precision": precision})
        parameters = parameters.model_copy(update={"optimisation": optimisation})
        weights, curve = run(precision, start, parameters)
        assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in load_weights(weights)[0].values())
        curves.append(curve)
    assert curves[0]["loss"].tolist() != curves[1]["loss"].tolist()
    assert curves[1]["loss"].tolist() == pytest.approx(curves[0]["loss"].tolist(), rel=0.05)
