"""MS-COCO through the workflow: indexed, masks drawn, and nothing trained on masks."""

import json

import pandas
import pytest
from PIL import Image

from tests.datasets.coco_tree import CocoTree, small_coco
from wsss_core.config import load_config
from wsss_core.config.class_names import COCO_CLASSES
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import LargeFov
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import read_index
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.plan.plan import Plan

from .test_masks_are_for_scoring import BEFORE_SCORING, planned_jobs, upstream_files
from .workflow import Workflow


@pytest.fixture
def tree(tmp_path) -> CocoTree:
    return small_coco(tmp_path / "coco").write()


@pytest.fixture
def workflow(tmp_path, tree) -> Workflow:
    workflow = Workflow(tmp_path / "work")
    workflow.folder.mkdir()
    workflow.config["dataset"] = {"format": "coco", "root": str(tree.root), "name": "coco14"}
    return workflow


def masks_csv(workflow: Workflow) -> str:
    return Plan(load_config(workflow.config)).masks.path("masks.csv")


def test_index_and_masks_are_made_and_found_again(workflow, tree):
    target = masks_csv(workflow)
    assert workflow.planned(target) == {"index_dataset": 1, "index_masks": 1}
    workflow.run(target)
    folder = next((workflow.results / "dataset").iterdir())
    index = read_index(folder / "index.csv", folder / "classes.json")
    assert [len(index.split(split)) for split in ("train", "val")] == [3, 2]
    masks = read_label_manifest([workflow.folder / target])
    assert list(masks) == index.image_ids
    assert set(read_mask(masks["COCO_train2014_000000000025"]).ravel()) == {0, 80}
    log = next((workflow.results / "logs/index_dataset").iterdir()).read_text()
    assert "1 images are left out, listed in" in log
    assert workflow.planned(target) == {}
    # Other masks make neither the index nor a network again.
    (workflow.folder / "stuff").mkdir()
    for image_id in index.image_ids:
        size = (36, 34) if image_id.endswith("25") else (50, 40)
        Image.new("L", size, 0).save(workflow.folder / "stuff" / f"{image_id}.png")
    workflow.config["dataset"]["stuff_masks"] = "stuff"
    other = masks_csv(workflow)
    assert other != target
    assert workflow.planned(other) == {"index_masks": 1}
    workflow.run(other)
    masks = read_label_manifest([workflow.folder / other])
    assert set(read_mask(masks["COCO_val2014_000000000042"]).ravel()) == {1}


def test_faults_are_reported_and_stop(workflow, tree):
    content = json.loads(tree.path("train2014").read_text())
    content["annotations"][0]["image_id"] = 12345
    content["annotations"][1]["category_id"] = 12
    tree.path("train2014").write_text(json.dumps(content))
    result = workflow.attempt("dataset")
    assert result.returncode != 0
    assert "2 faults in the data set" in result.stdout
    assert "annotations of image 12345, which is not in 'images'" in result.stdout
    workflow.config["dataset"]["on_fault"] = "skip"
    workflow.run("dataset")


def test_no_training_has_pixel_maps_upstream(workflow, tree):
    (workflow.folder / "stuff/train2017").mkdir(parents=True)
    workflow.config["dataset"]["stuff_masks"] = "stuff"
    del workflow.config["experiments"]["full"]
    jobs = planned_jobs(workflow)
    assert {"train_segmenter", "index_masks", "score_cams"} <= {rule for rule, _, _ in jobs}
    for job in jobs:
        files = upstream_files(job, jobs)
        of_masks = {file for file in files if file.startswith("stuff") or "masks.csv" in file}
        assert not of_masks or job[0] not in BEFORE_SCORING, job
        if job[0].startswith("score_") and job[0] != "score_classifier":
            assert {"stuff", "stuff/train2017"} <= files


def test_predictions_are_scored_on_all_validation_images_or_those_with_objects(workflow, tmp_path):
    trunk = {"network": "resnet_small", "output_stride": 8}
    file = str(tmp_path / "imported.safetensors")
    options = LargeFov(backbone="any", channels=8).options
    save_segmenter(file, build_segmenter("largefov", options, Trunk(**trunk), COCO_CLASSES))
    workflow.config["backbones"]["random"] = {**trunk, "weights": "scratch"}
    prediction = {"crf": None, "scales": [1.0], "flip": False}
    imported = {"network": "largefov", "backbone": "random", "channels": 8, "optimisation": {"epochs": 0}}
    workflow.config["segmenters"] = {"imported": {**imported, "weights": file, "prediction": prediction}}
    workflow.config["experiments"] = {"full": {"labels": "masks", "segmenter": "imported"}}

    def scored():
        predictions = Plan(load_config(workflow.config)).experiments["full"]["predictions"]
        target = predictions.path("labels.scores.csv")
        planned = workflow.planned(target)
        workflow.run(target)
        row = pandas.read_csv(workflow.folder / target).iloc[0]
        images = pandas.read_csv(workflow.folder / predictions.path("labels.images.csv"))
        return planned, row["images_scored"], row["split"], set(images.iloc[:, 0])

    _, number, split, images = scored()
    assert (number, split) == (2, "val (instances_val2014.json)") and len(images) == 2
    workflow.config["dataset"]["score_val"] = "with_objects"
    planned, number, split, images = scored()
    assert planned == {"score_label_maps": 1}
    assert (number, split) == (1, "val (instances_val2014.json), images with objects")
    assert images == {"COCO_val2014_000000000042"}
