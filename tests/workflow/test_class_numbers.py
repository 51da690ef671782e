"""One class, and more than 8-bit label maps can tell apart, go the whole way."""

import numpy as np
import pandas
import pytest
from PIL import Image

from tests.datasets.folder_tree import FolderTree

from .workflow import Workflow


@pytest.mark.slow
@pytest.mark.parametrize("classes", [300, 1])
def test_one_class_and_300_classes_go_the_whole_way(tmp_path, classes):
    names = [f"c{number:03d}" for number in range(classes)]
    tree = FolderTree(tmp_path / "mine")
    labels, splits = {}, {}
    for number in range(14):
        tree.image(f"{number}.png", (32, 40))
        shown = sorted({(number * 37) % classes, classes - 1})
        labels[f"{number}.png"] = [names[k] for k in shown]
        splits[f"{number}.png"] = "val" if number > 9 else "train"
        mask = np.zeros((32, 40), np.uint16 if classes > 254 else np.uint8)
        mask[5:20, 5:20], mask[20:30], mask[31] = shown[0] + 1, shown[-1] + 1, np.iinfo(mask.dtype).max
        tree.mask(f"{number}.png", mask)
    tree.labels(labels).splits(splits)
    workflow = Workflow(tmp_path)
    workflow.config["dataset"] = {"name": "mine", "format": "folder", "root": str(tree.root), "classes": names}
    experiments = workflow.config["experiments"]
    workflow.config["experiments"] = {name: experiments[name] for name in ("cam", "full")}
    workflow.run()
    table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    assert table.loc["cam", ["seed", "pseudo_labels", "val"]].notna().all()
    predictions = list(workflow.results.glob("predictions/*/labels/*.png"))
    assert len(predictions) == 8
    assert {Image.open(path).mode for path in predictions} == {"I;16" if classes > 254 else "P"}
