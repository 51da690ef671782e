import copy
import threading
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from tests.cams.test_advcam import random_image
from tests.cams.tiny_network import TinyClassifier
from tests.classifiers.tiny_networks import tiny
from wsss_core.cams import drawing
from wsss_core.cams import generate_cams as stage
from wsss_core.cams.generate_cams import generate_cams
from wsss_core.cams.methods import find_side_by_side_method
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.config.cams import AdvCams, Cams, MultiscaleCams, SeenetCams
from wsss_core.config.networks import Trunk
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.errors import UserError
from wsss_core.files import cam_store
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.jobs.run import Run
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
    monkeypatch.setattr(
        stage, "load_classifier", lambda path, device, classes: TinyClassifier(dtype=torch.float32).to(device)
    )
    monkeypatch.setattr(stage, "BLOCK_IMAGES", 2)


@pytest.fixture
def alike(index) -> DatasetIndex:
    """The same labels, of images of two sizes."""
    table = index.table.copy()
    for number, path in enumerate(table["image"]):
        height, width = (18, 23) if number % 3 else (23, 18)
        Image.fromarray(random_image(height, width, number)).save(path)
        table.loc[number, ["height", "width"]] = height, width
    return DatasetIndex(CLASSES, table)


def run(index: DatasetIndex, folder: Path, parameters: Cams = MULTISCALE, device: str = "cpu") -> Path:
    shard = folder / "shards" / "000-of-001.h5"
    inputs = index.image_paths[:1]
    generate_cams(parameters, index, Path("weights"), shard, Run(inputs, device, provenance={"digest": "abc"}))
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
    def load(path, device, classes):
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
    monkeypatch.setattr(stage, "load_classifier", lambda path, device, classes: copy.deepcopy(network))
    method, seen = find_side_by_side_method(parameters.method), []

    def watched(classifier, *arguments):
        seen.append(any(isinstance(part, torch.nn.BatchNorm2d) for part in classifier.modules()))
        return method(classifier, *arguments)

    monkeypatch.setattr(drawing, "find_side_by_side_method", lambda name: watched)
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
    read, seen = drawing.read_indexed_image, []

    def failing(path, size):
        seen.append(index.image_paths.index(path))
        if len(seen) == fails_at + 1:
            raise KeyboardInterrupt
        return read(path, size)

    monkeypatch.setattr(drawing, "read_indexed_image", failing)
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
    monkeypatch.setattr(drawing, "read_indexed_image", lambda *_: pytest.fail("all images were done"))
    assert run(index, tmp_path / "killed").read_bytes() == whole


def test_an_empty_shard(index, tmp_path):
    with CamStoreReader([run(index.shard(0, 20), tmp_path)]) as reader:
        assert reader.image_ids == []


@pytest.mark.parametrize("parameters", [MULTISCALE, ADVCAM], ids=["multiscale", "advcam"])
def test_images_of_one_size_are_drawn_at_once_to_the_same_maps(alike, tmp_path, monkeypatch, parameters):
    monkeypatch.setattr(stage, "BLOCK_IMAGES", 5)
    parameters = parameters.model_copy(update={"arithmetic": "float64", "precision": "float32"})
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "CPU_GAINS_BELOW", 2 * 18 * 23)
        alone = run(alike, tmp_path / "alone", parameters)
    monkeypatch.setattr(drawing, "IMAGES_AT_ONCE", 3)
    method, sizes = find_side_by_side_method(parameters.method), []

    def watched(classifier, images, *arguments):
        sizes.append(len(images.scaled[0]))
        return method(classifier, images, *arguments)

    monkeypatch.setattr(drawing, "find_side_by_side_method", lambda name: watched)
    together = run(alike, tmp_path / "together", parameters)
    # Without labels: image 2. Sideways: images 0, 3, 6; upright: 1, 4, 5. The first five are a block.
    assert sizes == [2, 2, 1, 1]
    with CamStoreReader([alone]) as one, CamStoreReader([together]) as other:
        assert one.image_ids == other.image_ids
        for image_id in one.image_ids:
            found, expected = other.read(image_id), one.read(image_id)
            assert found.classes.tolist() == expected.classes.tolist()
            np.testing.assert_allclose(found.cam, expected.cam, rtol=0, atol=1e-7)
    again = run(alike, tmp_path / "again", parameters)
    assert again.read_bytes() == together.read_bytes()


def test_batches_that_are_killed_continue_to_the_same_bytes(alike, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(stage, "BLOCK_IMAGES", 4)
    whole = run(alike, tmp_path / "whole").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(drawing.Drawing, "fetched", lambda self, maps: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(alike, tmp_path / "killed")
    assert run(alike, tmp_path / "killed").read_bytes() == whole


def test_a_method_of_one_image_needs_nothing_else(alike, tmp_path, monkeypatch):
    """As those of a user's extension."""
    seen = []

    def method(classifier, image, class_indices, parameters):
        seen.append((image.shape, image.dtype, list(class_indices)))
        return multiscale_class_maps(classifier, image, class_indices, parameters)

    monkeypatch.setattr(drawing.CAM_METHODS, "find", lambda name: method)
    monkeypatch.setattr(drawing, "find_side_by_side_method", lambda name: None)
    with CamStoreReader([run(alike, tmp_path)]) as reader:
        assert len(reader.image_ids) == len(alike)
    assert seen[0] == ((23, 18, 3), np.uint8, [0]) and len(seen) == 6


def test_an_image_that_has_changed_since_it_was_indexed(index, tmp_path):
    Image.fromarray(random_image(9, 9)).save(index.image_paths[3])
    with pytest.raises(UserError, match=r"image3.png: the image is 9 x 9 pixels, but was 21 x 17 when"):
        run(index, tmp_path)


def test_a_fault_in_the_drawing_thread_ends_the_job_and_names_the_image(index, tmp_path, monkeypatch, caplog):
    def method(classifier, image, class_indices, parameters):
        if list(class_indices) == [2]:
            raise RuntimeError("out of memory")
        return multiscale_class_maps(classifier, image, class_indices, parameters)

    monkeypatch.setattr(drawing.CAM_METHODS, "find", lambda name: method)
    monkeypatch.setattr(drawing, "find_side_by_side_method", lambda name: None)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(index, tmp_path)
    assert "while working on image 6/ü:" in caplog.text
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_a_full_disk_ends_the_job_and_what_was_read_ahead(index, tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cam_store, "_write_image", full)
    with pytest.raises(UserError, match="full"):
        run(index, tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("parameters", [MULTISCALE, ADVCAM], ids=["multiscale", "advcam"])
def test_bfloat16_computes_the_trunk_in_fewer_bits(index, tmp_path, monkeypatch, parameters):
    torch.manual_seed(2)
    network = ClassMapClassifier(Trunk(network="resnet_small", output_stride=8), CLASSES).requires_grad_(False).eval()
    monkeypatch.setattr(stage, "load_classifier", lambda path, device, classes: copy.deepcopy(network))
    parameters = parameters.model_copy(update={"precision": "float32"})
    found = {}
    for arithmetic in ("float32", "bfloat16"):
        chosen = parameters.model_copy(update={"arithmetic": arithmetic})
        with CamStoreReader([run(index, tmp_path / arithmetic, chosen)]) as reader:
            found[arithmetic] = np.concatenate([reader.read(image_id).cam.ravel() for image_id in index.image_ids])
    difference = np.abs(found["bfloat16"] - found["float32"])
    assert 1e-4 < difference.max() < 0.2 and difference.mean() < 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("parameters", [MULTISCALE, ADVCAM], ids=["multiscale", "advcam"])
def test_a_gpu_draws_the_same_maps(alike, tmp_path, parameters):
    exact = parameters.model_copy(update={"arithmetic": "float64", "precision": "float32"})
    shards = [run(alike, tmp_path / device, exact, device) for device in ("cpu", "cuda")]
    with CamStoreReader(shards[:1]) as one, CamStoreReader(shards[1:]) as other:
        for image_id in one.image_ids:
            np.testing.assert_allclose(other.read(image_id).cam, one.read(image_id).cam, rtol=0, atol=1e-6)
