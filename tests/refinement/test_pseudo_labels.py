import numpy as np
import pytest
import torch

from tests.refinement.tiny_data import (
    CLASSES,
    SIZES,
    SMALL_CRF,
    TRUNK,
    FakeCams,
    true_labels,
    write_images,
    write_trunk,
)
from wsss_core.config.refinement import AffinityNet, BackgroundScore, PseudoLabels, Walk
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.images import read_image, read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.errors import UserError
from wsss_core.networks.affinitynet import AffinityNetwork, save_affinitynet
from wsss_core.networks.trunks import build_trunk
from wsss_core.refinement.affinity_labels import make_affinity_labels
from wsss_core.refinement.pseudo_labels import make_pseudo_labels, spread_maps
from wsss_core.refinement.train_affinity import train_affinity

CPU = torch.device("cpu")


@pytest.fixture
def image(tmp_path):
    return read_image(write_images(tmp_path / "images").image_paths[1])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AffinityNetwork(build_trunk(TRUNK), 4, radius=5).eval()


def test_from_class_maps_to_pseudo_labels(tmp_path):
    index, cams, folder = write_images(tmp_path / "images"), FakeCams(), tmp_path / "artifact"
    settings = AffinityNet(
        backbone="small",
        stride=4,
        optimisation=Optimisation(optimizer="adamw", epochs=20, batch_size=3, learning_rate=2e-3),
        augmentation=Augmentation(crop=40, flip=False),
        labels={"foreground": {"threshold": 0.3}, "background": {"threshold": 0.2}, "crf": SMALL_CRF.model_dump()},
    )
    confident, refined = folder / "confident" / "0.csv", folder / "refined" / "0.csv"
    make_affinity_labels(settings.labels, 0.25, index, cams, confident, refined)
    weights = folder / "weights.safetensors"
    trunk = write_trunk(tmp_path / "trunk.safetensors")
    labels = read_label_manifest([confident])
    train_affinity(settings, TRUNK, index, labels, trunk, weights, folder / "training.csv", device="cpu")
    manifest = folder / "labels" / "000-of-001.csv"
    parameters = PseudoLabels(background=BackgroundScore(threshold=0.3), crf=SMALL_CRF)
    make_pseudo_labels(parameters, Walk(log2_steps=4), index, cams, weights, manifest, device="cpu")
    maps = {image_id: read_mask(path) for image_id, path in read_label_manifest([manifest]).items()}
    assert list(maps) == list(SIZES)
    for image_id, labels in maps.items():
        truth = true_labels(image_id)
        assert set(np.unique(labels)) <= set(np.unique(truth)), "only the image's own classes"
        assert (labels == truth).mean() > 0.95


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("size", [(32, 32), (33, 41), (1, 1)])
def test_spread_maps_have_the_images_size_and_a_largest_value_near_one(size, stride):
    random = np.random.default_rng(0)
    network = AffinityNetwork(build_trunk(TRUNK), stride, radius=5).eval()
    cam = random.random((2, -(-size[0] // 4), -(-size[1] // 4))).astype(np.float32)
    maps = spread_maps(random.integers(0, 255, (*size, 3), np.uint8), cam, network, Walk(log2_steps=5), CPU)
    assert maps.shape == (2, *size) and maps.dtype == np.float32
    assert maps.min() >= 0 and 0.85 < maps.max() <= 1


def test_classes_keep_their_relation(image, network):
    cam = np.stack([np.ones((8, 8)), np.full((8, 8), 0.5)]).astype(np.float32)
    maps = spread_maps(image, cam, network, Walk(log2_steps=5), CPU)
    np.testing.assert_allclose(maps[1], 0.5 * maps[0], rtol=1e-5)
    maps = spread_maps(image, cam, network, Walk(log2_steps=5, cam_power=2), CPU)
    np.testing.assert_allclose(maps[1], 0.25 * maps[0], rtol=1e-5)


def test_empty_maps_stay_empty(image, network):
    assert not spread_maps(image, np.zeros((1, 8, 8), np.float32), network, Walk(), CPU).any()


def test_an_image_that_changed_is_told(tmp_path, network):
    index = write_images(tmp_path / "images")
    index.table.loc[0, "image"] = index.table.loc[1, "image"]
    weights = tmp_path / "weights.safetensors"
    save_affinitynet(weights, network, TRUNK)
    with pytest.raises(UserError, match=r"two\.png: the image is 32 x 32 pixels"):
        make_pseudo_labels(PseudoLabels(), Walk(), index, FakeCams(), weights, tmp_path / "labels" / "0.csv")


def test_class_numbers_are_those_of_the_data_set(tmp_path, network):
    index = write_images(tmp_path / "images")
    weights, manifest = tmp_path / "weights.safetensors", tmp_path / "labels" / "0.csv"
    save_affinitynet(weights, network, TRUNK)
    parameters = PseudoLabels(background=BackgroundScore(threshold=0.3))
    make_pseudo_labels(parameters, Walk(log2_steps=0), index, FakeCams(), weights, manifest, device="cpu")
    labels = read_mask(read_label_manifest([manifest])["one"])
    assert set(np.unique(labels)) == {0, CLASSES.index("cat") + 1}
