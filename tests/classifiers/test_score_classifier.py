import csv
import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from tests.refinement.tiny_data import CLASSES, TRUNK
from wsss_core.classifiers.objective import OBJECTIVES
from wsss_core.classifiers.score_classifier import COLUMNS, logits_of, score_classifier
from wsss_core.config.networks import Trunk
from wsss_core.config.sections import SECTIONS
from wsss_core.config.training import Augmentation
from wsss_core.datasets.images import read_image
from wsss_core.datasets.index import DatasetIndex
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.evaluation.classifier_verdict import what_to_do
from wsss_core.jobs.run import Run
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.text_features import save_text_features

TRANSFORMER = Trunk(network="timm", model="test_vit")
SIZES = [(40, 48), (33, 41), (40, 48), (1, 1), (33, 41), (40, 48)]


def images(folder, count=6, labels=("cat", "bird;dog")):
    """Images of noise, with labels in turn."""
    rows = []
    for number in range(count):
        path, (height, width) = folder / f"{number}.png", SIZES[number % len(SIZES)]
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        rows.append((str(number), "val", str(path), height, width, labels[number % len(labels)]))
    columns = ("image_id", "split", "image", "height", "width", "labels")
    return DatasetIndex(CLASSES, {name: [row[n] for row in rows] for n, name in enumerate(columns)})


def saved(path, network):
    save_classifier(path, network)
    return path


def scored(tmp_path, index, **options):
    torch.manual_seed(0)
    weights = saved(tmp_path / "weights.safetensors", ClassMapClassifier(TRUNK, CLASSES))
    files = (tmp_path / "scores.csv", tmp_path / "verdict.json")
    return score_classifier(index, weights, *files, "ordinary", run=Run(device="cpu"), **options)


def rows_of(folder):
    return list(csv.DictReader((folder / "scores.csv").read_text(encoding="utf-8").splitlines()))


def untrained(objective, folder):
    """A network of each kind, of random weights."""
    kind, trunk, more = SECTIONS["classifiers"].kinds[objective], TRUNK, {}
    torch.manual_seed(0)
    if objective == "cgnet":
        more = {"ordinary": "other"}
    elif objective == "mctformer":
        trunk, more = TRANSFORMER, {"augmentation": Augmentation(crop=32)}
    elif objective == "clip":
        trunk, texts = TRANSFORMER, folder / "texts.safetensors"
        more = {"weights": str(folder / "tower.safetensors"), "text_features": str(texts)}
        names = kind(backbone="small", **more)
        described = names.texts(CLASSES), names.background_texts()
        save_text_features(texts, *(torch.randn(len(part), 8) for part in described), *described)
    return OBJECTIVES.find(objective).build_network(kind(backbone="small", **more), trunk, CLASSES)


@pytest.mark.parametrize("objective", SECTIONS["classifiers"].kinds)
def test_every_kind_of_classifier_sees_whole_images_in_their_order(tmp_path, objective):
    network = untrained(objective, tmp_path)
    network = load_classifier(saved(tmp_path / "weights.safetensors", network))
    index = images(tmp_path)
    found = logits_of(network, index)
    for number, path in enumerate(index.image_paths):
        alone = network(normalise(read_image(path))[None])[0]
        np.testing.assert_allclose(found[number], alone.numpy(), rtol=1e-4, atol=1e-4)


def test_a_network_of_random_weights_has_learned_nothing_and_the_terminal_says_so(tmp_path, caplog):
    index = images(tmp_path, 40)
    verdict = scored(tmp_path, index, what_to_do=["look", "wait"])
    assert verdict.learned == "nothing" and json.loads((tmp_path / "verdict.json").read_text())["learned"] == "nothing"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("classifier ordinary: the classifier has learned nothing: mAP ")
    assert warning.endswith("What to do: (1) look; (2) wait.")
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS and [row["class"] for row in rows] == ["", *CLASSES]
    assert [row["positive_images"] for row in rows] == ["40", "20", "20", "20"]
    aps = [float(row["average_precision"]) for row in rows]
    assert aps[0] == pytest.approx(np.mean(aps[1:]), abs=1e-3)


def test_what_the_images_do_not_determine_is_left_empty(tmp_path, caplog):
    for index in (images(tmp_path, 30, ["cat"]), images(tmp_path).split("train")):
        caplog.clear()
        assert scored(tmp_path, index).learned == "unknown"
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        mean, bird, cat, _ = rows_of(tmp_path)
        assert bird["average_precision"] == bird["f1"] == bird["recall"] == mean["average_precision"] == ""
        assert (cat["f1"] == "") == (len(index) == 0) and cat["average_precision"] == ""


def test_two_runs_write_the_same_bytes(tmp_path):
    index = images(tmp_path, 12)
    written = []
    for _ in range(2):
        scored(tmp_path, index)
        written.append([(tmp_path / name).read_bytes() for name in ("scores.csv", "verdict.json")])
    assert written[0] == written[1]


def test_a_classifier_of_other_classes_is_reported(tmp_path):
    index = images(tmp_path)
    with pytest.raises(UserError, match="knows the classes bird, cat, dog; the data set has a, b"):
        scored(tmp_path, DatasetIndex(("a", "b"), {**index.columns, "labels": ["a"] * 6}))


def test_an_image_that_has_changed_is_reported(tmp_path):
    index = images(tmp_path)
    Image.new("RGB", (5, 5)).save(index.image_paths[3])
    with pytest.raises(UserError, match="the image is 5 x 5 pixels"):
        scored(tmp_path, index)


def test_advice_depends_on_where_the_weights_come_from():
    files = ("index.csv", "report.html", "training.csv")
    trained = what_to_do(*files, True, "random weights, classifier 'ordinary'")
    assert trained[0].startswith("check in index.csv ")
    assert any("now: random weights)" in advice for advice in trained)
    assert not any("start from ImageNet" in a for a in what_to_do(*files, True, "ImageNet (torchvision)"))
    imported = what_to_do(*files, False, "file.safetensors")
    assert len(imported) == 2 and "imported weights" in imported[1]
