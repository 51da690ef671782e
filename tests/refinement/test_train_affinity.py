import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import affinity_pairs as oracle
from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.config.refinement import AffinityNet
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.networks.affinitynet import load_affinitynet
from wsss_core.networks.weights import load_weights
from wsss_core.refinement.affinity_pairs import neighbour_offsets, pair_affinities
from wsss_core.refinement.train_affinity import affinity_losses, reduce_labels, train_affinity


def parameters(**changes) -> AffinityNet:
    optimisation = Optimisation(optimizer="adamw", epochs=2, batch_size=2, learning_rate=1e-3)
    defaults = {"backbone": "small", "stride": 4, "optimisation": optimisation, "augmentation": Augmentation(crop=32)}
    return AffinityNet(**{**defaults, **changes})


@pytest.fixture
def data(tmp_path):
    index = write_images(tmp_path / "images")
    labels = {image_id: tmp_path / "labels" / f"{image_id}.png" for image_id in SIZES}
    for image_id, path in labels.items():
        write_label_map(path, true_labels(image_id))
    return index, labels, write_trunk(tmp_path / "trunk.safetensors")


def train(data, folder, settings):
    index, labels, trunk = data
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    train_affinity(settings, TRUNK, index, labels, trunk, weights, curve, inputs=[trunk], device="cpu")
    return weights, pandas.read_csv(curve)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    radius=st.integers(2, 5),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    values=st.sampled_from([[0, 1, 2, 255], [0, 255], [3], [255], [0, 1]]),
)
def test_losses_equal_the_oracle(seed, radius, height, width, values):
    random = np.random.default_rng(seed)
    features = random.normal(size=(2, 4, height, width))
    labels = random.choice(values, (2, height, width))
    offsets = neighbour_offsets(radius)
    affinities = pair_affinities(torch.from_numpy(features), offsets)
    result = affinity_losses(affinities, torch.from_numpy(labels), offsets)
    expected = oracle.losses(features, labels, radius)
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        assert float(result[name]) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_labels_are_taken_from_the_middle_of_cells():
    labels = torch.arange(16)[None] + 100 * torch.arange(10)[:, None]
    assert reduce_labels(labels, 4)[0].tolist() == [202, 206, 210, 214]
    assert reduce_labels(labels, 4)[:, 0].tolist() == [202, 602, 902]
    assert reduce_labels(labels[:1, :1], 8).tolist() == [[0]]


def test_training_lowers_the_loss_and_tells_objects_apart(data, tmp_path):
    optimisation = Optimisation(optimizer="adamw", epochs=10, batch_size=3, learning_rate=2e-3)
    weights, curve = train(data, tmp_path / "artifact", parameters(optimisation=optimisation))
    assert list(curve) == ["epoch", "loss", "background", "foreground", "negative", "learning_rate"]
    assert curve["epoch"].tolist() == list(range(1, 11))
    assert curve["loss"].iloc[-1] < 0.6 * curve["loss"].iloc[0]
    network = load_affinitynet(weights)
    assert (network.stride, network.radius) == (4, 5)
    assert not list((tmp_path / "artifact").rglob("checkpoint.pt"))


def test_the_same_seed_gives_the_same_weights(data, tmp_path):
    first, second = (train(data, tmp_path / name, parameters())[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_starts_from_the_trunks_weights_and_can_freeze_normalisation(data, tmp_path):
    start, _ = load_weights(data[2])
    frozen, _ = load_weights(train(data, tmp_path / "frozen", parameters())[0])
    learned, _ = load_weights(train(data, tmp_path / "learned", parameters(freeze_batch_norm=False))[0])
    for key in ("trunk.bn1.running_mean", "trunk.layer4.0.bn2.weight"):
        assert torch.equal(start[key], frozen[key])
        assert not torch.equal(start[key], learned[key])
    assert not torch.equal(start["trunk.conv1.weight"], frozen["trunk.conv1.weight"])
    untrained = parameters(optimisation=Optimisation(epochs=0))
    weights, curve = train(data, tmp_path / "untrained", untrained)
    assert torch.equal(load_weights(weights)[0]["trunk.conv1.weight"], start["trunk.conv1.weight"])
    assert len(curve) == 0


def test_missing_and_misfitting_label_maps_are_told(data, tmp_path):
    index, labels, trunk = data
    with pytest.raises(UserError, match="1 of 3 training images have no confident label map, 'two'"):
        train((index, {name: labels[name] for name in ("one", "none")}, trunk), tmp_path / "a", parameters())
    write_label_map(labels["two"], np.zeros((5, 6), np.uint8))
    with pytest.raises(UserError, match=r"two\.png: the label map's size \(5, 6\)"):
        train(data, tmp_path / "a", parameters())
