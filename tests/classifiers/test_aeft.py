from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.classifiers.tiny_networks import CLASSES, as_lists, assert_same, batches, tiny
from tests.oracles.plain_aeft import plain_losses, plain_pooling
from wsss_core.classifiers.aeft import AeftObjective, disjoint_negatives, erasing_mask, negatives
from wsss_core.config.classifiers import AeftClassifier
from wsss_core.config.networks import Trunk
from wsss_core.config.training import Optimisation
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier, PyramidPooling

BINS = [(), (1,), (2,), (3,), (2, 4), (1, 2, 3), (2, 4, 8, 16)]
FUSIONS, ORDERS = ["gated", "ungated", "average"], ["coarse_to_fine", "fine_to_coarse"]
LABELS = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 1, 0]], dtype=torch.float64)


def objective_with(seed=0, bins=(2, 4), fusion="gated", order="coarse_to_fine", **options):
    network = tiny(GatedPyramidClassifier, seed, feature_channels=7, bins=bins, fusion=fusion, order=order)
    pyramid = {"feature_channels": 7, "bins": bins, "fusion": fusion, "order": order}
    # Unchecked: the losses are held to the plain ones in combinations that make no sense, too.
    parameters = AeftClassifier.model_construct(backbone="b", warmup_epochs=1, **pyramid, **options)
    return AeftObjective(network, parameters, None)


@given(
    batch=batches(),
    pyramid=st.fixed_dictionaries(
        {"bins": st.sampled_from(BINS), "fusion": st.sampled_from(FUSIONS), "order": st.sampled_from(ORDERS)}
    ),
    losses=st.fixed_dictionaries(
        {
            "classified_images": st.sampled_from([None, 1, 2, 8]),
            "classification_weight": st.sampled_from([0.0, 1.0]),
            "attraction_weight": st.sampled_from([0.0, 0.2, 5.0]),
            "repulsion_weight": st.sampled_from([0.0, 0.15, 3.0]),
            "embedding": st.sampled_from(["pooled", "class_map"]),
            "masking": st.sampled_from(["soft", "hard"]),
            "high_threshold": st.sampled_from([0.4, 0.6, 1.0]),
            "low_threshold": st.sampled_from([0.0, 0.2, 0.35]),
            "margin": st.sampled_from([0.05, 0.5, 5.0]),
            "fewest_hard_triplets": st.sampled_from([1, 2, 5]),
        }
    ),
    epoch=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_losses_and_gradients_are_those_of_the_plain_computation(batch, pyramid, losses, epoch, seed):
    images, labels = batch
    objective = objective_with(seed, **pyramid, **losses)
    partners = negatives(labels, Random(seed))
    found = objective.triplet_losses(images, labels, epoch, partners)
    triplets = epoch >= objective.parameters.warmup_epochs
    expected = plain_losses(objective.network, images, as_lists(labels), partners, objective.parameters, triplets)
    assert_same(objective.network, found, expected)


@given(
    bins=st.sampled_from(BINS),
    fusion=st.sampled_from(FUSIONS),
    order=st.sampled_from(ORDERS),
    size=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    seed=st.integers(0, 1000),
)
def test_pooling_is_that_of_the_plain_computation(bins, fusion, order, size, seed):
    torch.manual_seed(seed)
    pooling = PyramidPooling(len(CLASSES), bins, fusion, order).double()
    maps = torch.randn(2, len(CLASSES), *size, dtype=torch.float64)
    gates = [(gate.positive.weight, gate.negative.weight) for gate in pooling.gates]
    expected = torch.stack([plain_pooling(one, bins, fusion, order, gates) for one in maps])
    torch.testing.assert_close(pooling(maps), expected, rtol=1e-10, atol=1e-12)


@given(
    shown=st.lists(st.sets(st.integers(0, 4), max_size=4), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_negatives_share_no_class(shown, seed):
    labels = torch.tensor([[float(k in there) for k in range(5)] for there in shown])
    partners = negatives(labels, Random(seed))
    assert len(partners) == len(shown)
    assert partners == negatives(labels, Random(seed))
    disjoint = [any(not there & other for other in shown) for there in shown]
    if all(disjoint):
        # An image without classes is its own negative as well as anyone's: it shares none with itself.
        assert all(not shown[image] & shown[partner] for image, partner in enumerate(partners))
    # As in the authors' code an image that has none takes the next one's.
    assert -1 not in partners[: partners.index(-1)] if -1 in partners else True
    if not any(disjoint):
        assert partners == [-1] * len(shown)


def test_the_order_of_the_negatives_is_drawn():
    labels = torch.eye(6)
    assert len({tuple(negatives(labels, Random(seed))) for seed in range(20)}) > 5


def losses_of(images, labels=LABELS, epoch=1, **options):
    objective = objective_with(**options)
    return objective.triplet_losses(images, labels, epoch, negatives(labels, Random(0)))


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(4)
    return torch.randn(3, 3, 32, 28, dtype=torch.float64)


def test_in_the_warmup_there_is_classification_alone(images):
    losses = losses_of(images, epoch=0)
    assert set(losses) == {"loss", "classification"}
    torch.testing.assert_close(losses["loss"], losses["classification"])


def test_weights_of_zero_switch_losses_off_and_others_scale(images):
    options = {"fewest_hard_triplets": 1, "margin": 50.0}
    whole = losses_of(images, **options)
    assert whole["attraction"] > 0 and whole["repulsion"] > 0
    assert losses_of(images, attraction_weight=0.0, **options)["attraction"] == 0
    assert losses_of(images, repulsion_weight=0.0, **options)["repulsion"] == 0
    twice = losses_of(images, attraction_weight=0.4, repulsion_weight=0.3, classification_weight=2.0, **options)
    for name in whole:
        torch.testing.assert_close(twice[name], 2 * whole[name])


def test_a_repulsion_needs_enough_hard_triplets(images):
    assert losses_of(images, fewest_hard_triplets=3, margin=50.0)["repulsion"] > 0
    assert losses_of(images, fewest_hard_triplets=4, margin=50.0)["repulsion"] == 0
    assert losses_of(images, fewest_hard_triplets=1, margin=1e-9)["repulsion"] == 0


def test_only_the_first_images_are_classified(images):
    first = losses_of(images[:1], LABELS[:1], epoch=0, classified_images=None)
    torch.testing.assert_close(losses_of(images, epoch=0, classified_images=1)["loss"], first["loss"])
    assert abs(losses_of(images, epoch=0, classified_images=None)["loss"] - first["loss"]) > 1e-3


def test_without_bins_the_logit_is_the_maps_mean(images):
    network = objective_with(bins=()).network
    maps, pooled, logits = network.pool(images)
    assert torch.equal(maps, pooled)
    torch.testing.assert_close(logits, maps.mean(dim=(2, 3)))
    assert not len(network.pooling.gates)


def test_one_bin_needs_no_fusion(images):
    results = [objective_with(bins=(3,), fusion=fusion, order=order).network for fusion in FUSIONS for order in ORDERS]
    pooled = [network.pooling(results[0].class_maps(images)) for network in results]
    assert all(torch.equal(pooled[0], other) for other in pooled)


def test_order_and_fusion_matter_with_several_bins(images):
    network = objective_with(bins=(2, 4, 8)).network
    maps = network.class_maps(images).detach()
    gates = network.pooling.state_dict()
    found = {}
    for fusion in FUSIONS:
        for order in ORDERS:
            pooling = PyramidPooling(len(CLASSES), (2, 4, 8), fusion, order).double()
            pooling.load_state_dict(gates, strict=fusion == "gated")
            found[fusion, order] = pooling(maps)
    torch.testing.assert_close(*(found["average", order] for order in ORDERS))
    others = [found[key] for key in found if key != ("average", "fine_to_coarse")]
    for number, one in enumerate(others):
        assert all((one - other).abs().max() > 1e-3 for other in others[:number])


def test_a_hard_mask_keeps_the_background_and_a_soft_one_darkens_it():
    maps = torch.zeros(1, 1, 1, 4, dtype=torch.float64)
    maps[0, 0, 0] = torch.tensor([0, 0.3, 0.59, 1])
    shown = torch.ones(1, 1, dtype=torch.float64)
    soft, hard = (erasing_mask(maps, shown, (1, 4), 0.6, masking).flatten() for masking in ("soft", "hard"))
    torch.testing.assert_close(soft, torch.tensor([0, 0.3, 0.59, 0], dtype=torch.float64), rtol=0, atol=1e-4)
    assert hard.tolist() == [1, 1, 1, 0]


def test_the_gradient_of_the_attraction_flows_through_a_soft_mask_alone():
    maps = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    shown = torch.ones(1, 2, dtype=torch.float64)
    assert erasing_mask(maps, shown, (16, 16), 0.6, "soft").requires_grad
    assert not erasing_mask(maps, shown, (16, 16), 0.6, "hard").requires_grad


def test_batches_grow_with_the_triplets():
    parameters = AeftClassifier(
        backbone="b", warmup_epochs=3, triplet_batch_size=9, optimisation=Optimisation(batch_size=4)
    )
    network = AeftObjective.build_network(parameters, Trunk(network="vgg16_small"), CLASSES)
    assert [AeftObjective(network, parameters, None).batch_size(epoch) for epoch in range(5)] == [4, 4, 4, 9, 9]
    assert network.options() == {
        "feature_channels": 256,
        "bins": [2, 4, 8, 16],
        "fusion": "gated",
        "order": "coarse_to_fine",
    }


def test_without_triplets_batches_stay_and_every_image_is_classified():
    parameters = AeftClassifier(backbone="b", warmup_epochs=3, bins=(), attraction_weight=0, repulsion_weight=0.0)
    network = AeftObjective.build_network(parameters, Trunk(network="vgg16_small"), CLASSES)
    objective = AeftObjective(network, parameters, None)
    assert [objective.batch_size(epoch) for epoch in range(5)] == [8] * 5
    assert parameters.classified_images is None
    assert objective.coupling_of_images() is None


def test_the_partners_are_drawn_again_in_each_step(images):
    objective = objective_with(fewest_hard_triplets=1, margin=50.0)
    six = images.repeat(2, 1, 1, 1) * torch.linspace(1, 2, 6, dtype=torch.float64)[:, None, None, None]
    labels = torch.cat([LABELS, LABELS.roll(1, dims=1)])
    torch.manual_seed(0)
    found = {objective.losses(six, labels, 1)["repulsion"].item() for _ in range(12)}
    assert len(found) > 1


@given(
    shown=st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=1, max_size=10),
    seed=st.integers(0, 1000),
)
def test_disjoint_negatives_are_labelled_and_share_no_class(shown, seed):
    labels = torch.tensor([[float(k in there) for k in range(5)] for there in shown])
    for there, partner in zip(shown, disjoint_negatives(labels, Random(seed)), strict=True):
        if partner == -1:
            assert not any(other and not there & other for other in shown)
        else:
            assert shown[partner] and not there & shown[partner]


def test_an_image_without_classes_is_in_no_triplet(images):
    options = {"fewest_hard_triplets": 1, "margin": 50.0}
    assert losses_of(images, torch.zeros_like(LABELS), **options)["repulsion"] == 0
