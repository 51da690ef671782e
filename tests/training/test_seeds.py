"""Every seed of the configuration counts: the same one gives the same, another one something else."""

import pytest
import torch

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from tests.training.test_loop import NoisySamples, make_network
from wsss_core.backbones.prepare_backbone import PretextSamples, prepare_backbone
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.config.classifiers import OrdinaryClassifier
from wsss_core.config.networks import Backbone, Pretext
from wsss_core.config.refinement import AffinityNet, Irn
from wsss_core.config.segmentation import DeepLab, SegmenterOptimisation
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.palette import write_label_map
from wsss_core.files.resume import PartialWork
from wsss_core.jobs.run import Run
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import load_weights
from wsss_core.refinement.train_affinity import train_affinity
from wsss_core.segmentation.train_segmenter import StartingNetwork, TrainingLabels, train_segmenter
from wsss_core.training.loop import fit
from wsss_core.training.task import Task


class Recorded(NoisySamples):
    """Notes which samples are read, in their order, and what is drawn by chance for them."""

    def __init__(self):
        super().__init__()
        self.order, self.drawn = [], {}

    def __getitem__(self, index):
        self.order.append(index)
        self.drawn.setdefault(index, torch.rand(()).item())  # of the first epoch
        return super().__getitem__(index)


def drawn_by_fit(folder, seed):
    """The order of samples, what was drawn for each, and what was drawn in the first step, as by dropout."""
    network, samples, in_steps = make_network(), Recorded(), []

    def loss(batch, epoch):
        in_steps.append(torch.rand(()).item())
        return {"loss": network(batch[0]).mean()}

    settings = Optimisation(epochs=2, batch_size=4, learning_rate=1e-3, seed=seed)
    groups = [ParameterGroup(network.parameters(), 1)]
    fit(Task(network, samples, loss, groups), settings, PartialWork(folder, "training", []), torch.device("cpu"))
    return samples.order, samples.drawn, in_steps[0]


def test_order_augmentation_and_dropout_depend_on_the_trainings_seed(tmp_path):
    order, drawn, in_step = drawn_by_fit(tmp_path / "one", 3)
    torch.rand(7)  # whatever state the caller's generator is in
    assert drawn_by_fit(tmp_path / "same", 3) == (order, drawn, in_step)
    other_order, other_drawn, other_in_step = drawn_by_fit(tmp_path / "other", 4)
    assert other_order != order and other_in_step != in_step
    common = drawn.keys() & other_drawn.keys()
    assert len(common) > 4 and all(drawn[index] != other_drawn[index] for index in common)


def standing_still(kind=Optimisation, **options):
    """Settings of an optimiser that moves nothing: what comes out are the weights that the training began with."""
    return kind(optimizer="adamw", epochs=1, batch_size=2, learning_rate=1e-30, **options)


def backbone(folder, seed):
    pretext = Pretext(images=8, size=32, optimisation=standing_still())
    prepare_backbone(
        Backbone(network="resnet_small", output_stride=8, weights="pretext", pretext=pretext, seed=seed),
        folder / "weights.safetensors",
        folder / "training.csv",
        run=Run(device="cpu"),
    )


def settings_of(kind, optimisation, **options):
    return kind(backbone="any", optimisation=optimisation, augmentation=Augmentation(crop=36), **options)


def classifier(folder, seed):
    index, trunk = write_images(folder / "images"), write_trunk(folder / "trunk.safetensors")
    settings = settings_of(OrdinaryClassifier, standing_still(seed=seed))
    made = folder / "weights.safetensors", folder / "training.csv"
    train_classifier(settings, TRUNK, index, StartingWeights(backbone=trunk), *made, run=Run(device="cpu"))


def labelled(folder):
    labels = {image_id: folder / "labels" / f"{image_id}.png" for image_id in SIZES}
    for image_id, path in labels.items():
        write_label_map(path, true_labels(image_id))
    return write_images(folder / "images"), labels, write_trunk(folder / "trunk.safetensors")


def affinitynet(folder, seed):
    settings = settings_of(AffinityNet, standing_still(seed=seed), stride=4)
    made = folder / "weights.safetensors", folder / "training.csv"
    train_affinity(settings, TRUNK, *labelled(folder), *made, run=Run(device="cpu"))


def irn(folder, seed):
    settings = settings_of(Irn, standing_still(seed=seed), radius=3)
    made = folder / "weights.safetensors", folder / "training.csv"
    train_affinity(settings, TRUNK, *labelled(folder), *made, run=Run(device="cpu"))


def segmenter(folder, seed):
    settings = settings_of(DeepLab, standing_still(SegmenterOptimisation, seed=seed), atrous_rates=(1, 2))
    made = folder / "weights.safetensors", folder / "training.csv"
    index, labels, trunk = labelled(folder)
    start = StartingNetwork(trunk, "random weights")
    train_segmenter(settings, TRUNK, index, TrainingLabels(labels), start, *made, Run(device="cpu"))


@pytest.mark.parametrize("train", [backbone, classifier, affinitynet, irn, segmenter], ids=lambda train: train.__name__)
def test_the_weights_that_a_training_begins_with_depend_on_its_seed(tmp_path, train):
    def weights(name, seed):
        train(tmp_path / name, seed)
        tensors, _ = load_weights(tmp_path / name / "weights.safetensors")
        return {name: tensor for name, tensor in tensors.items() if "running" not in name}

    one, same, other = weights("one", 3), weights("same", 3), weights("other", 4)
    assert one.keys() == same.keys() == other.keys()
    assert all(torch.equal(one[name], same[name]) for name in one)
    # Weights that begin with 0 have moved by the learning rate.
    assert any((one[name] - other[name]).abs().max() > 1e-6 for name in one)


def test_the_pictures_of_the_pretext_task_depend_on_their_seed():
    one, same, other = (PretextSamples(Pretext(images=3, size=32, data_seed=seed)).images for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
