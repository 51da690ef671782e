"""A user's own folder, with the names that users give, goes through to DeepLab's predictions."""

import json
import shutil
import unicodedata

import h5py
import numpy as np
import pandas
import pytest
from PIL import Image

from tests.datasets.folder_tree import FolderTree
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.files.cam_store import CamStoreReader, group_name
from wsss_core.files.probability_store import read_probabilities

from .workflow import Workflow

NAMES = [
    "plain.jpg",
    "Größe 1/Straße, 2.JPG",
    "Größe 1/deep er/ä ö ü.png",
    unicodedata.normalize("NFD", "Größe 1/zerlegt é.bmp"),
    "100% {sure}/a;b 'quoted' \"twice\".webp",
    "100% {sure}/a%2Fb.jpg",
    "日本/写真 (1).jpeg",
    "nan.png",
    "0012.jpg",
    "#1 & $HOME *?[x].png",
    "x" * 250 + ".jpg",
]


def own_folder(tmp_path, masks):
    """The workflow and the tree of a folder of odd names; half of the images are for validation."""
    tree = FolderTree(tmp_path / "my data, 1")
    labels, splits = {}, {}
    for number, name in enumerate(NAMES * 2):
        path = name if number < len(NAMES) else f"again/{name}"
        size = (30 + number, 40)
        tree.image(path, size)
        labels[path] = ["Bär"] if number % 2 else ["Bär", "a cat, red"]
        splits[path] = "train" if number < len(NAMES) else "val"
        if masks:
            mask = np.zeros(size, np.uint8)
            mask[5:20, 5:20], mask[20:30] = 1, 255 if number % 2 else 2
            tree.mask(path.rpartition(".")[0] + ".png", mask)
    tree.labels(labels, delimiter=";", encoding="utf-16").splits(splits)
    workflow = Workflow(tmp_path)
    workflow.config["dataset"] = {"name": "mine", "format": "folder", "root": str(tree.root)}
    workflow.config["runtime"]["shards"] = 2 if masks else 1
    keep = workflow.config["experiments"].keys() - ({"advcam", "full"} if masks else {"advcam"})
    for name in keep:
        del workflow.config["experiments"][name]
    workflow.config["segmenters"]["deeplab"]["prediction"]["keep_probabilities"] = True
    return workflow, tree


@pytest.mark.parametrize("masks", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_folder_with_odd_names_goes_the_whole_way(tmp_path, masks):
    workflow, _ = own_folder(tmp_path, masks)
    rule = {"rule": "mean_and_deviation"}
    workflow.config["cams"]["advcam"]["threshold"] = rule
    if not masks:
        affinity = workflow.config["experiments"]["advcam"]["affinity"]
        workflow.config["affinities"][affinity]["pseudo_labels"]["background"] = {"threshold": rule}
    workflow.run()
    chosen = [json.loads(file.read_text()) for file in workflow.results.glob("threshold/*/threshold.json")]
    assert len(chosen) == (1 if masks else 2)  # by the maps, and without masks by the walked maps too
    assert all(0 < choice["threshold"] < 1 and choice["images"] == len(NAMES) for choice in chosen)
    (folder,) = workflow.results.glob("dataset/*")
    index = read_index(folder / "index.csv", folder / "classes.json")
    ids = [unicodedata.normalize("NFC", name.rpartition(".")[0]) for name in NAMES]
    assert set(index.split("train").image_ids) == set(ids)
    assert set(index.split("val").image_ids) == {f"again/{image_id}" for image_id in ids}
    assert index.classes == ("Bär", "a cat, red")
    sizes = dict(zip(index.image_ids, zip(index.table["height"], index.table["width"], strict=True), strict=True))
    for stage, split in (("affinity_labels", "train"), ("pseudo_labels", "train"), ("predictions", "val")):
        for artifact in workflow.results.glob(f"{stage}/*"):
            maps = read_label_manifest(sorted(artifact.glob("labels/*.csv")))
            assert set(maps) == set(index.split(split).image_ids), stage
            for image_id, path in maps.items():
                assert read_mask(path).shape == sizes[image_id]
            assert len({path.resolve() for path in maps.values()}) == len(NAMES)
    with CamStoreReader(sorted(workflow.results.glob("cams/*/shards/*.h5"))) as cams:
        assert set(cams.image_ids) == set(ids)
    artifact = next(workflow.results.glob("predictions/*"))
    files = sorted(artifact.glob("probabilities/*.h5"))
    for image_id in index.split("val").image_ids:
        file = next(file for file in files if group_name(image_id) in h5py.File(file))
        assert read_probabilities(file, image_id).shape == (3, *sizes[image_id])
    table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    for figure in ("seed", "pseudo_labels", "val"):
        assert pandas.isna(table.loc["advcam", figure]) != masks
    assert Image.open(workflow.results / "overview.png").size[0] > 100
    page = (workflow.results / "report.html").read_text()
    assert ("has no masks" in page) != masks and page.count('class="card"') == len(index)
    assert workflow.planned() == {}
    workflow.run("prune")


def test_an_image_added_deep_in_the_folder_and_a_new_table_are_seen(tmp_path):
    workflow, tree = own_folder(tmp_path, masks=False)
    workflow.run("dataset")
    assert workflow.planned("dataset") == {}
    tree.image("Größe 1/deep er/new.png")
    assert workflow.planned("dataset") == {"dataset": 1, "index_dataset": 1}
    workflow.run("dataset")
    (tree.root / "splits.csv").unlink()
    assert workflow.planned("dataset") == {"dataset": 1, "index_dataset": 1}


def test_all_faults_of_a_folder_are_reported_by_the_first_job(tmp_path):
    workflow, tree = own_folder(tmp_path, masks=True)
    tree.image("plain.png")
    rows = [("image", "label"), ("gone.jpg", "Bär"), ("nan", "Bär", "x"), ("0012", "Bär")]
    tree.table("labels.csv", rows)
    (tree.root / "images/0012.jpg").write_bytes(b"")
    tree.mask("0012.png", np.full((3, 3), 9, np.uint8))
    result = workflow.attempt()
    assert result.returncode != 0
    for reported in ("gone.jpg", "line 3: 'nan': has 3 cells", "plain", "0012.jpg", "masks/0012.png"):
        assert reported in result.stdout, reported
    assert "Traceback" not in result.stdout


def test_photographs_are_shrunk_once_and_everything_made_of_the_small_ones(tmp_path):
    tree = FolderTree(tmp_path / "photos")
    labels, splits = {}, {}
    for number in range(24):
        name, size = f"{'ab'[number % 2]}/{number}.jpg", (300, 400) if number else (40, 64)
        tree.image(name, size)
        mask = np.zeros(size, np.uint8)
        mask[: size[0] // 2, : size[1] // 2] = 1 + number % 2
        tree.mask(name.replace(".jpg", ".png"), mask)
        labels[name], splits[name] = [["cat"], ["dog"]][number % 2], "train" if number < 18 else "val"
    tree.labels(labels).splits(splits)
    workflow = Workflow(tmp_path)
    workflow.config["dataset"] = {"name": "mine", "format": "folder", "root": str(tree.root), "long_side": 64}
    workflow.config["experiments"] = {"cam": workflow.config["experiments"]["cam"]}
    workflow.run("check_dataset")
    (folder,) = workflow.results.glob("dataset/*")
    index = read_index(folder / "index.csv", folder / "classes.json")
    assert {*index.sizes[1:]} == {(48, 64)} and index.original().sizes[1:] == [(300, 400)] * 23
    copies = {path.name for path in (folder / "images").rglob("*.jpg")}
    assert copies == {f"{number}.jpg" for number in range(1, 24)} and not (folder / ".partial").exists()
    log = workflow.results / f"logs/index_dataset/{folder.name}.log"
    assert "23 of 24 images are shrunk to 64 pixels" in log.read_text()
    workflow.run()
    assert workflow.planned() == {}
    maps = read_label_manifest(sorted(next(workflow.results.glob("predictions/*")).glob("labels/*.csv")))
    assert {read_mask(path).shape for path in maps.values()} == {(48, 64)} and len(maps) == 6
    table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    assert not table.loc["cam", ["seed", "pseudo_labels", "val"]].isna().any()
    of_maps = workflow.results.glob("*/*/*scores.csv")  # and of the classifier, which has no masks to be compared with
    tables = [scores for scores in of_maps if scores.parents[1].name != "classifier"]
    assert len(tables) >= 3
    for scores in tables:
        assert pandas.read_csv(scores)["split"].str.endswith(", images shrunk to 64 pixels").all(), scores
    assert (workflow.results / "report.html").read_text().count('class="card"') == len(index)
    # Deleted copies are made again, before what reads them.
    shutil.rmtree(folder / "images")
    another = workflow.changed()
    another.config["cams"]["cam"]["flip"] = False
    assert {"index_dataset", "generate_cams"} <= set(another.planned("cams"))
    workflow.run("dataset")
    assert {path.name for path in (folder / "images").rglob("*.jpg")} == copies
    del workflow.config["dataset"]["long_side"]
    assert {"index_dataset", "index_masks", "train_classifier"} <= set(workflow.planned())
    workflow.config["runtime"]["prune"] = "delete"
    workflow.run("prune")
    assert not folder.exists()
