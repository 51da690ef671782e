import copy
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from tests.cams.test_advcam import random_image
from tests.cams.tiny_network import TinyClassifier
from tests.classifiers.tiny_networks import tiny
from wsss_core.cam_store import CamStoreReader
from wsss_core.cams import generate_cams as stage
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.cams.methods import find_cam_method
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.config.cams import AdvCams, Cams, MultiscaleCams, SeenetCams
from wsss_core.config.networks import Trunk
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.self_erasing import SelfErasingClassifier

CLASSES = ("class0", "class1", "class2", "class3")
MULTISCALE = MultiscaleCams(classifier="c", scales=(0.5, 1.0))
SEENET = SeenetCams(classifier="c", size=24)
ADVCAM = AdvCams(classifier="c", steps=3, scales=(1.0,), high_res=False, precision="float32")


@pytest.fixture
def index(tmp_path) -> DatasetIndex:
    """Seven images of different sizes; the third shows no class."""
    labels = ["class0", "class1;class3", "", "class2", "class0;class1;class2;class3", "class3", "class1"]
    rows = []
    for number, shown in enumerate(labels):
        height, width = 12 + 3 * number, 20 - number
        path = tmp_path / f"image{number}.png"
        Image.fromarray(random_image(height, width, number)).save(path)
        # Ids in no alphabetical order, one with a slash.
        rows.append((f"{9 - number}/ü", "train", str(path), height, width, shown))
    return DatasetIndex(
        CLASSES, pandas.DataFrame(rows, columns=["image_id", "split", "image", "height", "width", "labels"])
    )


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setattr(stage, "load_classifier", lambda path, device: TinyClassifier(dtype=torch.float32).to(device))
    monkeypatch.setattr(stage, "BLOCK_IMAGES", 2)


def run(index: DatasetIndex, folder: Path, parameters: Cams = MULTISCALE) -> Path:
    shard = folder / "shards" / "000-of-001.h5"
    inputs = index.image_paths[:1]
    generate_cams(parameters, index, Path("weights"), shard, {"digest": "abc"}, inputs=inputs, device="cpu")
    return shard


@pytest.mark.parametrize("parameters", [MULTISCALE, ADVCAM])
def test_every_image_has_its_classes_maps(index, tmp_path, parameters):
    with CamStoreReader([run(index, tmp_path / "a", parameters)]) as reader:
        assert reader.classes == CLASSES
        assert sorted(reader.image_ids) == sorted(index.image_ids)
        for image_id, labels, row in zip(index.image_ids, index.label_matrix, index.table.itertuples(), strict=True):
            cams = reader.read(image_id)
            assert (cams.height, cams.width) == (row.height, row.width)
            assert cams.classes.tolist() == np.flatnonzero(labels).tolist()
            assert cams.cam.shape == (labels.sum(), -(-row.height // 4), -(-row.width // 4))
            assert (cams.high_res is not None) == parameters.high_res
            assert np.all((cams.cam >= 0) & (cams.cam <= 1))
            largest = cams.cam.max(axis=(1, 2), initial=0)
            assert np.all((largest > 0.9) | (largest == 0))


def test_seenets_maps_of_every_image(index, tmp_path, monkeypatch):
    def load(path, device):
        network = tiny(SelfErasingClassifier, 1)
        network.classes = CLASSES
        network.add_layers(network.trunk.channels[-1], len(CLASSES))
        return network.double().requires_grad_(False).eval()

    monkeypatch.setattr(stage, "load_classifier", load)
    with CamStoreReader([run(index, tmp_path, SEENET)]) as reader:
        for image_id, labels, row in zip(index.image_ids, index.label_matrix, index.table.itertuples(), strict=True):
            cams = reader.read(image_id)
            assert cams.classes.tolist() == np.flatnonzero(labels).tolist()
            assert cams.cam.shape == (labels.sum(), -(-row.height // 4), -(-row.width // 4))
            assert cams.high_res.shape == (labels.sum(), row.height, row.width)
            assert np.all((cams.high_res >= 0) & (cams.high_res <= 1))


def test_the_arithmetic_is_the_networks(index, tmp_path):
    """Maps of float64 are those of a float64 network, rounded once; float32's are not."""
    parameters = MULTISCALE.model_copy(update={"precision": "float32"})
    double = parameters.model_copy(update={"arithmetic": "float64"})
    network = TinyClassifier(dtype=torch.float32).double()
    expected = []
    for path, labels in zip(index.image_paths, index.label_matrix, strict=True):
        if labels.any():
            maps = multiscale_class_maps(network, read_image(path), np.flatnonzero(labels).tolist(), double)
            expected.append(maps.normalised()[0].float().numpy())
    found = {}
    for name, chosen in (("single", parameters), ("double", double)):
        with CamStoreReader([run(index, tmp_path / name, chosen)]) as reader:
            found[name] = [reader.read(image_id).cam for image_id in index.image_ids]
        found[name] = [maps for maps in found[name] if len(maps)]
    for name, largest in (("double", 1e-7), ("single", 1e-5)):
        for own, other in zip(found[name], expected, strict=True):
            np.testing.assert_allclose(own, other, rtol=0, atol=largest)
    assert any((own != other).any() for own, other in zip(found["single"], expected, strict=True))


@pytest.mark.parametrize("parameters", [MULTISCALE, ADVCAM], ids=["multiscale", "advcam"])
def test_a_folded_classifier_draws_the_same_maps(index, tmp_path, monkeypatch, parameters):
    torch.manual_seed(2)
    network = ClassMapClassifier(Trunk(network="resnet_small", output_stride=8), CLASSES).requires_grad_(False).eval()
    monkeypatch.setattr(stage, "load_classifier", lambda path, device: copy.deepcopy(network))
    method, seen = find_cam_method(parameters.method), []

    def watched(classifier, *arguments):
        seen.append(any(isinstance(part, torch.nn.BatchNorm2d) for part in classifier.modules()))
        return method(classifier, *arguments)

    monkeypatch.setattr(stage, "find_cam_method", lambda name: watched)
    parameters = parameters.model_copy(update={"precision": "float32", "steps": 2})
    double = parameters.model_copy(update={"arithmetic": "float64"})
    with CamStoreReader([run(index, tmp_path / "folded", parameters)]) as reader:
        found = [reader.read(image_id).cam for image_id in index.image_ids]
    assert seen and not any(seen)
    seen.clear()
    with CamStoreReader([run(index, tmp_path / "double", double)]) as reader:
        expected = [reader.read(image_id).cam for image_id in index.image_ids]
    assert seen and all(seen)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=2e-3)


@pytest.mark.parametrize("fails_at", [0, 1, 4, 6])
def test_a_killed_run_continues_to_the_same_bytes(index, tmp_path, monkeypatch, fails_at):
    whole = run(index, tmp_path / "whole").read_bytes()
    read, seen = stage.read_image, []

    def failing(path):
        seen.append(index.image_paths.index(path))
        if len(seen) == fails_at + 1:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(stage, "read_image", failing)
    with pytest.raises(KeyboardInterrupt):
        run(index, tmp_path / "killed")
    assert not (tmp_path / "killed/shards/000-of-001.h5").exists()
    again = len(seen)
    assert run(index, tmp_path / "killed").read_bytes() == whole
    assert seen[again:] == list(range(fails_at // 2 * 2, 7))
    (left,) = (tmp_path / "killed/.partial").glob("*/*")
    assert left.match("finished-*-000-of-001.h5")


def test_killed_while_merging(index, tmp_path, monkeypatch):
    whole = run(index, tmp_path / "whole").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(CamStoreReader, "copy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(index, tmp_path / "killed")
    monkeypatch.setattr(stage, "read_image", lambda path: pytest.fail("all images were done"))
    assert run(index, tmp_path / "killed").read_bytes() == whole


def test_an_empty_shard(index, tmp_path):
    with CamStoreReader([run(index.shard(0, 20), tmp_path)]) as reader:
        assert reader.image_ids == []


def test_a_classifier_of_other_classes(index, tmp_path):
    other = DatasetIndex((*CLASSES, "more"), index.table)
    with pytest.raises(UserError, match="more"):
        run(other, tmp_path)
