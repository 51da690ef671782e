"""VOC with SBD and faults through the rules that read it: what is made, recorded, and made again when data change."""

import numpy as np
import pandas
import pytest

from tests.datasets.sbd_tree import write_mat, write_png_masks, write_sbd
from tests.datasets.voc_tree import VocTree

from .workflow import Workflow

MASK = np.ones((40, 50), dtype=np.uint8)


def index_only(workflow):
    """Run the two rules that read the data set; their tables."""
    output = workflow.run("--until", "index_masks")
    (dataset,), (masks,) = workflow.results.glob("dataset/*"), workflow.results.glob("masks/*")
    return output, dataset, masks


def image_ids(table):
    return pandas.read_csv(table, dtype=str)["image_id"].tolist()


@pytest.mark.parametrize("form", ["archive", "png"])
def test_train_aug_and_skipped_images(tmp_path, form):
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    for image_id, split in (("one", "train"), ("two", "val"), ("three", "train"), ("four", "train"), ("five", "train")):
        tree.add(image_id, ["cat", "dog"], split, size=MASK.shape, mask=split == "val")
    tree.lists["train"] = ["one"]
    tree.write_lists()
    sbd = ["three", "four", "gone"]
    if form == "png":
        folder = write_png_masks(tmp_path / "sbd", {image_id: MASK for image_id in sbd})
    else:
        folder = write_sbd(tmp_path / "sbd", {"train": sbd[:1], "val": sbd[1:]}, {image_id: MASK for image_id in sbd})
    workflow = Workflow(tmp_path)
    workflow.config["dataset"] = {
        **{"name": "mine", "root": "voc", "classes": ["cat", "dog"], "sbd": "sbd"},
        **{"splits": {"train": "train_aug"}, "on_fault": "skip"},
    }
    output, dataset, masks = index_only(workflow)
    assert "1 images are left out" in output
    assert image_ids(dataset / "index.csv") == ["four", "one", "three", "two"]
    assert image_ids(dataset / "skipped.csv") == ["gone", "gone"], "neither image nor annotation"
    assert sorted(image_ids(masks / "masks.csv")) == ["four", "three", "two"]
    assert image_ids(masks / "skipped.csv") == []

    if form == "png":  # names of masks say which images there are, though the folder is no input of the index
        write_png_masks(tmp_path / "more", {"five": MASK})
        (tmp_path / "more/five.png").rename(folder / "five.png")
    else:
        write_mat(folder / "dataset/cls/five.mat", MASK)
        with open(folder / "dataset/val.txt", "a") as file:
            file.write("five\n")
    _, dataset, masks = index_only(workflow)
    assert image_ids(dataset / "index.csv") == ["five", "four", "one", "three", "two"]
    assert sorted(image_ids(masks / "masks.csv")) == ["five", "four", "three", "two"]
    output, _, _ = index_only(workflow)
    assert "Finished jobid" not in output

    workflow.config["dataset"]["on_fault"] = "stop"
    result = workflow.attempt("--until", "index_masks")
    assert result.returncode != 0 and "2 faults in the data set voc" in result.stdout
    assert "Fix them, or continue without these images: 'dataset.on_fault: skip'." in result.stdout
    assert "Traceback" not in result.stdout
    assert len(list(workflow.results.glob("dataset/*/faults.csv"))) == 1
