"""``snakemake check_dataset``: what there is, and what is wrong with it, before anything is computed."""

import csv
import json

import pytest

from tests.datasets.voc_tree import VocTree, cut_short

from .workflow import Workflow


@pytest.fixture
def tree(tmp_path):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    for number in range(4):
        for split in ("train", "val"):
            classes = ["cat", "dog"][: 1 + number % 2]
            tree.add(f"{split}{number}", classes, split, size=(40, 50), mask=True)
    return tree.write_lists()


@pytest.fixture
def workflow(tmp_path, tree):
    workflow = Workflow(tmp_path)
    workflow.config["dataset"] = {"name": "mine", "root": str(tree.root), "classes": ["cat", "dog"]}
    return workflow


def made(workflow):
    """The stages, and files of stages, that a workflow has made."""
    return {path.name for path in workflow.results.iterdir()} - {"logs", "benchmarks"}


def plant_faults(tree):
    """One fault of each of some kinds, and a text that tells of each."""
    cut_short(tree.image("train0"))
    tree.image("train1").unlink()
    tree.annotate("train2", ["cow"])
    tree.annotation("val0").write_text("<annotation>")
    tree.mask("val1").unlink()
    cut_short(tree.mask("val2"))
    tree.list("val").write_text("val0\nval1\nval2\nval3\nval3\ntrain3\n")
    return ["train0.jpg", "train1.jpg", "'cow'", "val0.xml", "val1.png", "val2.png", "'val3'", "'train3'"]


def test_the_page_is_made_once_and_nothing_else(workflow):
    output = workflow.run("check_dataset")
    assert made(workflow) == {"dataset", "masks"}
    (page,) = workflow.results.glob("dataset/*/dataset_report.html")
    assert f"What the data set holds: {page.relative_to(workflow.folder)}" in output
    text = page.read_text()
    assert "8 images (4 train, 4 val), 2 classes" in text and "No image was left out" in text
    with open(page.with_name("dataset_report.csv"), newline="") as table:
        assert [(row["class"], row["train"], row["val"]) for row in csv.DictReader(table)] == [
            ("cat", "4", "4"),
            ("dog", "2", "2"),
        ]
    assert workflow.planned("check_dataset") == {}
    before = page.stat().st_mtime_ns
    assert "Nothing to be done" in workflow.run("check_dataset")
    assert page.stat().st_mtime_ns == before
    planned = workflow.planned()
    assert planned and not {"index_dataset", "index_masks"} & set(planned)  # a run goes on from there


def test_the_number_of_processes_is_no_part_of_the_result(workflow):
    workflow.run("check_dataset")
    workflow.config["resources"] = {"index_dataset": {"threads": 1}, "index_masks": {"threads": 3}}
    assert workflow.planned("check_dataset") == {}


def test_faults_stop_all_of_them_reported_before_anything_else_runs(workflow, tree):
    expected = plant_faults(tree)
    result = workflow.attempt("check_dataset")
    assert result.returncode != 0 and "Traceback" not in result.stdout
    for text in expected:
        assert text in result.stdout
    (table,) = workflow.results.glob("dataset/*/faults.csv")
    assert f"All of them, as a table: {table.relative_to(workflow.folder)}" in result.stdout
    reported = table.read_text()
    for text in expected:
        assert text in reported
    assert made(workflow) == {"dataset"}
    assert not list(workflow.results.glob("dataset/*/dataset_report.html"))


def test_a_message_that_leaves_faults_out_names_the_table_with_all(workflow, tree):
    for number in range(60):
        tree.add(f"more{number}", ["cat"], "train", size=(40, 50)).image(f"more{number}").unlink()
    tree.write_lists()
    result = workflow.attempt("check_dataset")
    assert "... and 10 more" in result.stdout
    (table,) = workflow.results.glob("dataset/*/faults.csv")
    assert str(table.relative_to(workflow.folder)) in result.stdout
    with open(table, newline="") as file:
        assert {row["image_id"] for row in csv.DictReader(file)} == {f"more{number}" for number in range(60)}


def test_faulty_masks_stop_too_and_are_all_in_a_table(workflow, tree):
    for image_id in ("train0", "val1"):
        cut_short(tree.mask(image_id))
    result = workflow.attempt("check_dataset")
    assert result.returncode != 0
    (table,) = workflow.results.glob("masks/*/faults.csv")
    assert "train0.png" in result.stdout and "val1.png" in result.stdout
    assert str(table.relative_to(workflow.folder)) in result.stdout


def test_on_fault_skip_goes_on_without_them(workflow, tree):
    plant_faults(tree)
    workflow.config["dataset"]["on_fault"] = "skip"
    workflow.run("check_dataset")
    (index,) = workflow.results.glob("dataset/*/index.csv")
    with open(index, newline="") as table:
        kept = {row["image_id"]: row["split"] for row in csv.DictReader(table)}
    assert kept == {"train3": "train", "val1": "val", "val2": "val", "val3": "val"}
    assert json.loads(index.with_name("classes.json").read_text()) == ["cat", "dog"]
    with open(index.with_name("skipped.csv"), newline="") as table:
        assert {row["image_id"] for row in csv.DictReader(table)} >= {"train0", "train1", "train2", "val0"}
    assert "train0.jpg" in index.with_name("dataset_report.html").read_text()
    assert workflow.planned("check_dataset") == {}
