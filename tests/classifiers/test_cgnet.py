from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tests.classifiers.tiny_networks import CLASSES, as_lists, assert_same, batches, tiny
from tests.oracles.plain_cgnet import plain_losses
from wsss_core.classifiers.cgnet import CgnetObjective, drawn_classes, erasing_mask
from wsss_core.config.classifiers import CgnetClassifier
from wsss_core.networks.classifier import ClassMapClassifier

LABELS = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [1, 1, 1, 1, 0]], dtype=torch.float64)


@dataclass
class Setting:
    """Three images, a network to train and a frozen one."""

    network: ClassMapClassifier
    ordinary: ClassMapClassifier
    images: torch.Tensor

    def losses(self, labels=LABELS, epoch=0, seed=0, **options):
        objective = CgnetObjective(self.network, CgnetClassifier(backbone="b", ordinary="o", **options), self.ordinary)
        torch.manual_seed(seed)
        return objective.losses(self.images[: len(labels)], labels, epoch)


@pytest.fixture
def setting() -> Setting:
    network, ordinary = tiny(ClassMapClassifier, 1), tiny(ClassMapClassifier, 2)
    contrast = torch.tensor([0.2, 1, 3], dtype=torch.float64)[:, None, None, None]
    return Setting(network, ordinary, torch.randn(3, 3, 19, 14, dtype=torch.float64) * contrast)


@given(
    batch=batches(),
    erasing=st.sampled_from(["class_specific", "class_agnostic", "none"]),
    mask_maximum=st.sampled_from(["batch", "image"]),
    weights=st.sampled_from([(0.3, 0.05), (0.0, 0.1), (2.0, 0.0)]),
    epoch=st.integers(0, 14),
    seed=st.integers(0, 1000),
)
def test_losses_and_gradients_are_those_of_the_plain_computation(batch, erasing, mask_maximum, weights, epoch, seed):
    images, labels = batch
    network, ordinary = tiny(ClassMapClassifier, seed), tiny(ClassMapClassifier, seed + 1)
    parameters = CgnetClassifier(
        backbone="b",
        ordinary="o",
        erasing=erasing,
        mask_maximum=mask_maximum,
        erasing_weight=weights[0],
        erasing_weight_growth=weights[1],
    )
    objective = CgnetObjective(network, parameters, ordinary)
    torch.manual_seed(seed)
    losses = objective.losses(images, labels, epoch)
    torch.manual_seed(seed)
    drawn = drawn_classes(labels).argmax(dim=1).tolist()  # what the objective has drawn
    weight = weights[0] + weights[1] * epoch
    expected = plain_losses(network, ordinary, images, as_lists(labels), drawn, erasing, weight, mask_maximum)
    assert_same(network, losses, expected)


@given(batch=batches(), seed=st.integers(0, 10000))
def test_one_of_the_images_own_classes_is_drawn(batch, seed):
    labels = torch.cat([batch[1], torch.zeros(1, len(CLASSES), dtype=torch.float64)])  # and an image without
    torch.manual_seed(seed)
    drawn = drawn_classes(labels)
    assert drawn.sum(dim=1).tolist() == [1] * len(batch[1]) + [0]
    assert ((drawn == 0) | (labels == 1)).all()


def test_all_classes_are_drawn_about_as_often():
    labels = LABELS[2:].repeat(4000, 1)
    counts = drawn_classes(labels).sum(dim=0)
    assert counts[4] == 0 and counts.sum() == 4000
    assert (counts[:4] - 1000).abs().max() < 150  # five deviations


def test_a_mask_is_largest_where_the_map_is_and_hides_nothing_where_there_is_no_evidence():
    maps = torch.full((2, 1, 4, 4), -1.0, dtype=torch.float64)
    maps[0, 0, 1, 1], maps[1, 0, 2, 2] = 3.0, 6.0
    batch, image = (erasing_mask(maps, (4, 4), maximum) for maximum in ("batch", "image"))
    expected = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    expected[0, 0, 1, 1], expected[1, 0, 2, 2] = 0.5, 1.0
    torch.testing.assert_close(batch, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(image, expected.ceil(), rtol=0, atol=1e-5)
    assert not erasing_mask(-maps.abs(), (9, 9)).any()


def test_without_erasing_it_is_classification_alone(setting):
    losses = setting.losses(erasing="none")
    assert set(losses) == {"loss", "classification"}
    expected = functional.binary_cross_entropy_with_logits(setting.network(setting.images), LABELS)
    torch.testing.assert_close(losses["loss"], expected)


def test_the_weight_grows_with_the_epochs(setting):
    late, early = setting.losses(epoch=8)["erasing"], setting.losses(epoch=0)["erasing"]
    torch.testing.assert_close(late / early, torch.tensor((0.3 + 8 * 0.05) / 0.3, dtype=torch.float64))


def test_for_images_of_one_class_both_ways_of_erasing_are_one(setting):
    single = torch.eye(5, dtype=torch.float64)[:3]
    one, other = (setting.losses(single, erasing=erasing) for erasing in ("class_specific", "class_agnostic"))
    torch.testing.assert_close(one["erasing"], other["erasing"])
    one, other = (setting.losses(erasing=erasing) for erasing in ("class_specific", "class_agnostic"))
    assert abs(one["erasing"] - other["erasing"]) > 1e-3


def test_for_a_single_image_both_maxima_are_one(setting):
    one, other = (setting.losses(LABELS[:1], mask_maximum=maximum) for maximum in ("batch", "image"))
    torch.testing.assert_close(one["loss"], other["loss"])
    options = {"erasing": "class_agnostic"}
    one, other = (setting.losses(mask_maximum=maximum, **options) for maximum in ("batch", "image"))
    assert abs(one["loss"] - other["loss"]) > 1e-3


def test_the_frozen_classifier_passes_gradients_on_and_takes_none(setting):
    before = [parameter.clone() for parameter in setting.ordinary.parameters()]
    losses = setting.losses()
    losses["erasing"].backward()
    assert all(parameter.grad is None for parameter in setting.ordinary.parameters())
    assert all(map(torch.equal, before, setting.ordinary.parameters()))
    assert setting.network.head.weight.grad.abs().max() > 1e-6
    assert not setting.ordinary.training
