"""A classifier that learned nothing says so: in the terminal before maps are drawn, in the summary, on the page."""

import json
import re

import numpy as np
import pandas
from PIL import Image

from tests.datasets.folder_tree import FolderTree

from .workflow import Workflow, small_demo

COLOURS = {"blue": (40, 40, 220), "green": (40, 220, 40), "red": (220, 40, 40)}
IMAGES = {"train": 45, "val": 36}


def coloured_images(tmp_path, shuffled):
    """The workflow on images of one colour each, labelled by it, or by that of another image."""
    tree = FolderTree(tmp_path / "data")
    random = np.random.default_rng(1)
    labels, splits = {}, {}
    for split, count in IMAGES.items():
        names = [f"{split}{number}.png" for number in range(count)]
        shown = [list(COLOURS)[number % len(COLOURS)] for number in range(count)]
        for name, colour in zip(names, shown, strict=True):
            pixels = np.array(COLOURS[colour]) + random.integers(-40, 40, (32, 32, 3))
            tree.image(name)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tree.root / "images" / name)
            splits[name] = split
        # Of each colour there are as many images with each label: nothing can be learned, not even by luck.
        written = [list(COLOURS)[number // len(COLOURS) % len(COLOURS)] for number in range(count)]
        labels |= {name: [label] for name, label in zip(names, written if shuffled else shown, strict=True)}
    tree.labels(labels).splits(splits)
    workflow = Workflow(tmp_path, small_demo("cam"))
    workflow.config["experiments"] = {"cam": {"cams": "cam"}}
    workflow.config["dataset"] = {"name": "coloured", "format": "folder", "root": str(tree.root)}
    return workflow


def the_file(workflow, pattern):
    (path,) = workflow.results.glob(pattern)
    return path


def test_a_classifier_of_shuffled_labels_is_reported_before_maps_are_drawn(tmp_path):
    workflow = coloured_images(tmp_path, shuffled=True)
    workflow.config["runtime"]["classifier_at_chance"] = "stop"
    stopped = workflow.attempt()
    assert stopped.returncode != 0 and not list(workflow.results.glob("cams/*/shards/*.h5"))
    assert "No maps are drawn, as 'runtime.classifier_at_chance' is stop; warn goes on" in stopped.stdout
    reported = "classifier ordinary: the classifier has learned nothing: mAP "
    assert reported in stopped.stdout and reported in the_file(workflow, "logs/score_classifier/*.log").read_text()
    assert "What to do: (1) check in " in stopped.stdout and "start from ImageNet weights" in stopped.stdout

    workflow.config["runtime"]["classifier_at_chance"] = "warn"
    assert "score_classifier" not in workflow.planned()  # how it runs is no reason to score again
    workflow.run()
    summary = " ".join((workflow.results / "summary.md").read_text().split())
    page = (workflow.results / "report.html").read_text()
    for text in (summary, page):
        assert reported in text and text.index(reported) < text.index("experiment")
    assert json.loads(the_file(workflow, "classifier/*/verdict.json").read_text())["learned"] == "nothing"
    row = pandas.read_csv(workflow.results / "summary.csv").iloc[0]
    assert row["classifier_learned"] == "nothing" and abs(row["classifier_map"] - row["classifier_map_by_chance"]) < 20


def test_a_classifier_of_right_labels_is_no_cause_for_a_warning(tmp_path):
    workflow = coloured_images(tmp_path, shuffled=False)
    workflow.config["runtime"]["classifier_at_chance"] = "stop"
    output = workflow.run()
    order = [output.index(f"rule {rule}:") for rule in ("train_classifier", "score_classifier", "generate_cams")]
    assert order == sorted(order)
    assert "the classifier has learned" not in output
    scores = pandas.read_csv(the_file(workflow, "classifier/*/scores.csv"), keep_default_na=False)
    assert list(scores["class"]) == ["", *COLOURS] and scores["average_precision"].astype(float).min() > 0.9
    assert list(scores["positive_images"]) == [36, 12, 12, 12]
    text = (workflow.results / "summary.md").read_text()
    assert "Warning" not in text and re.search(r"\| ordinary +\| (9\d|100)\.\d \|", text)
    assert "has learned the classes: mAP" in text and re.search(r"\| green +\| 12 ", text)
    page = (workflow.results / "report.html").read_text()
    assert 'class="warning"' not in page and 'id="classifiers"' in page and "on the validation images mAP" in page
    assert workflow.planned() == {}
