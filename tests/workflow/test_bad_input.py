"""What a user is told whose data or configuration is not right, before hours of work are spent."""

import subprocess

import numpy as np
import pandas
import pytest

from tests.datasets.voc_tree import VocTree

from .workflow import Workflow


def voc_workflow(folder, tree):
    """The small demo on a data set on disk instead of the generated one."""
    workflow = Workflow(folder)
    workflow.config["dataset"] = {"name": "mine", "root": str(tree.root), "classes": ["cat", "dog"]}
    return workflow


def test_a_misspelt_key_is_reported_before_anything_runs(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.config["cams"]["advcam"]["step"] = 3
    result = workflow.attempt()
    assert result.returncode != 0
    assert "cams.advcam.step: unknown key: 'step'; did you mean 'steps'?" in result.stdout
    assert "Traceback" not in result.stdout
    assert not workflow.results.exists()


def test_a_key_given_twice_is_reported(tmp_path):
    workflow = Workflow(tmp_path)
    command = workflow.command("--dry-run")
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text() + "\nruntime: {shards: 2}\n")
    result = subprocess.run(command, text=True, capture_output=True)
    assert result.returncode != 0
    assert "the key 'runtime' is given twice" in result.stdout + result.stderr


@pytest.mark.parametrize("existing", [True, False])
def test_all_faults_of_a_data_set_are_reported_by_the_first_job(tmp_path, existing):
    tree = VocTree(tmp_path / "voc")
    workflow = voc_workflow(tmp_path, tree)
    if existing:
        tree.add("good", ["cat"], "train", size=(20, 30))
        tree.add("strange", ["cow"], "train", size=(20, 30))
        tree.add("cut", ["dog"], "val", size=(20, 30))
        tree.write_lists()
        del workflow.config["experiments"]["full"]  # there are no masks
        image = tmp_path / "voc/JPEGImages/cut.jpg"
        image.write_bytes(image.read_bytes()[:300])
        expected = ["strange", "'cow'", "cut.jpg"]
    else:
        workflow.config["dataset"]["root"] = str(tmp_path / "nowhere")
        expected = ["nowhere", "does not exist"]
    result = workflow.attempt()
    assert result.returncode != 0
    for text in expected:
        assert text in result.stdout
    assert "Traceback" not in result.stdout
    assert not list(workflow.results.glob("classifier/*/*"))


@pytest.mark.parametrize("masks", ["none", "empty", "val"])
def test_images_of_any_size_without_masks_go_the_whole_way(tmp_path, masks):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    sizes = [(1, 1), (2, 2), (1, 40), (37, 3), (33, 50), (64, 64)]
    for number, size in enumerate(sizes):
        for split in ("train", "val"):
            mask = np.ones(size, np.uint8) if (masks, split) == ("val", "val") else None
            tree.add(f"{split}{number}", ["cat"] if number % 2 else ["cat", "dog"], split, size=size, mask=mask)
    tree.write_lists()
    if masks == "empty":
        (tree.root / "SegmentationClass").mkdir(exist_ok=True)
    workflow = voc_workflow(tmp_path, tree)
    del workflow.config["experiments"]["full"], workflow.config["experiments"]["cam"]
    workflow.config["cams"]["advcam"]["scales"] = [0.5, 1.0]
    if masks == "val":
        del workflow.config["resources"]  # as many threads as jobs have by default
    workflow.run()
    table = pandas.read_csv(workflow.results / "summary.csv").iloc[0]
    assert pandas.isna(table["seed"]) and pandas.isna(table["pseudo_labels"])
    assert pandas.isna(table["val"]) == (masks != "val")
    text = (workflow.results / "summary.md").read_text()
    assert ("there is nothing to score against" in text) == (masks != "val")


def test_training_on_masks_that_are_not_there_is_reported_before_anything_runs(tmp_path):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    tree.add("a", ["cat"], "train", size=(20, 30))
    tree.write_lists()
    workflow = voc_workflow(tmp_path, tree)
    workflow.config["cams"]["advcam"]["score_every_step"] = True
    result = workflow.attempt("--dry-run")
    assert result.returncode != 0
    assert "experiments.full.labels: needs masks, but" in result.stdout and "SegmentationClass" in result.stdout
    assert "cams.advcam.score_every_step: needs masks, but there are none" in result.stdout


def test_an_edited_list_is_seen(tmp_path):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    for number, split in enumerate(("train", "train", "val")):
        tree.add(f"image{number}", ["cat", "dog"], split, size=(20, 30))
    tree.write_lists()
    workflow = voc_workflow(tmp_path, tree)
    del workflow.config["experiments"]["full"]
    workflow.run("dataset")
    assert workflow.planned("dataset") == {}
    listed = tree.root / "ImageSets/Segmentation/train.txt"
    listed.write_text("image1\n")
    assert workflow.planned("dataset").get("index_dataset") == 1
    workflow.run("dataset")
    (index,) = workflow.results.glob("dataset/*/index.csv")
    assert "image1" in index.read_text() and "image0" not in index.read_text()


def test_data_can_be_checked_before_there_are_weights(tmp_path):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    tree.add("a", ["cat"], "train", size=(20, 30)).add("b", ["dog"], "val", size=(20, 30)).write_lists()
    workflow = voc_workflow(tmp_path, tree)
    del workflow.config["experiments"]["full"]  # there are no masks
    workflow.config["backbones"]["small"]["weights"] = "not_there.safetensors"
    del workflow.config["backbones"]["small"]["pretext"]
    assert workflow.planned("check_dataset").get("index_dataset") == 1
    result = workflow.attempt("--dry-run")
    assert result.returncode != 0
    assert "backbones.small.weights: there is no file not_there.safetensors; " in result.stdout
