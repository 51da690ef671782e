"""The recipes for real data sets, planned on small trees in the same layout, as ``snakemake -n`` shows it."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from tests.datasets.voc_tree import VocTree
from wsss_core.config.dataset import COCO_CLASSES, VOC_CLASSES

from .workflow import REPOSITORY, Workflow

RECIPES = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.yaml") if path.stem.startswith(("voc", "coco")))
EVERY_STAGE = {"index_dataset", "prepare_backbone", "train_classifier", "generate_cams", "all"}
WITH_SEGMENTER = {"make_affinity_labels", "train_affinity", "make_pseudo_labels", "train_segmenter", "predict"}
SCORED = {"index_masks", "score_cams", "score_label_maps"}
SIZE = (24, 30)


def voc(root: Path) -> None:
    """VOC 2012 as its tar unpacks, with a list train_aug; and SBD, which it can be computed from, as that unpacks."""
    tree = VocTree(root, VOC_CLASSES)
    for split in ("train", "val"):
        tree.add(f"2007_{split}", ["cat", "person"], split, size=SIZE, mask=True)
    tree.add("2008_aug", ["dog"], "train", size=SIZE, mask=True)
    tree.lists = {"train": ["2007_train"], "val": ["2007_val"], "train_aug": ["2007_train", "2008_aug"]}
    tree.write_lists()
    saliency = root.parents[1] / "saliency"
    saliency.mkdir()
    for image_id in tree.lists["train_aug"]:
        Image.new("L", SIZE[::-1], 200).save(saliency / f"{image_id}.png")
    sbd = root.parents[1] / "benchmark_RELEASE/dataset"
    (sbd / "cls").mkdir(parents=True)
    (sbd / "train.txt").write_text("2008_aug\n")
    (sbd / "val.txt").write_text("2007_val\n")
    for image_id in ("2008_aug", "2007_val"):
        mask = np.full(SIZE, VOC_CLASSES.index("dog") + 1, np.uint8)
        scipy.io.savemat(sbd / "cls" / f"{image_id}.mat", {"GTcls": {"Segmentation": mask}})


def coco(root: Path) -> None:
    """MS-COCO 2014 as its archives unpack: images by split and a JSON file each; ids of categories have gaps."""
    (root / "annotations").mkdir(parents=True)
    categories = [{"id": 1, "name": COCO_CLASSES[0]}, {"id": 90, "name": COCO_CLASSES[-1]}]
    others = [{"id": 100 + k, "name": name} for k, name in enumerate(COCO_CLASSES[1:-1])]
    for number, split in enumerate(("train2014", "val2014"), start=1):
        (root / split).mkdir()
        name = f"COCO_{split}_{number:012d}.jpg"
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(root / split / name)
        objects = [
            {
                "id": k,
                "image_id": number,
                "category_id": category["id"],
                "bbox": [1, 1, 9, 9],
                "area": 81.0,
                "iscrowd": 0,
                "segmentation": [[1, 1, 10, 1, 10, 10, 1, 10]],
            }
            for k, category in enumerate(categories, start=1)
        ]
        described = {
            "images": [{"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}],
            "annotations": objects,
            "categories": categories + others,
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(described))
        stuff = root.parent / "coco-stuff"
        stuff.mkdir(exist_ok=True)
        Image.new("L", SIZE[::-1]).save(stuff / name.replace("jpg", "png"))


TREES = {"voc12": voc, "coco14": coco}


@pytest.fixture
def workflow(tmp_path, request):
    """A recipe on a small tree that lies where the recipe looks for the data set."""
    config = yaml.safe_load((REPOSITORY / "configs" / f"{request.param}.yaml").read_text())
    TREES[config["dataset"]["name"].removesuffix("-laptop")](tmp_path / config["dataset"]["root"])
    for backbone in config["backbones"].values():
        if backbone.get("weights", "imagenet").endswith(
            ".safetensors"
        ):  # imported; planning asks only whether it is there
            path = tmp_path / backbone["weights"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
    return Workflow(tmp_path, config)


@pytest.mark.parametrize("workflow", RECIPES, indirect=True)
def test_a_recipe_is_planned_from_the_data_set_to_the_scores(workflow):
    planned = workflow.planned()
    assert set(planned) >= EVERY_STAGE | WITH_SEGMENTER | SCORED
    assert planned["index_dataset"] == planned["index_masks"] == 1
    keys = ("segmenter", "cams", "affinity")
    trained = {tuple(map(e.get, keys)) for e in workflow.config["experiments"].values() if "segmenter" in e}
    assert planned["train_segmenter"] == len(trained)


@pytest.mark.parametrize("workflow", ["voc12-advcam-irn", "voc12-seenet", "coco14-advcam-irn", "coco14-aeft"], indirect=True)
def test_the_data_sets_of_the_recipes_are_read_by_them(workflow):
    workflow.run("check_dataset")
    (index,) = workflow.results.glob("dataset/*/index.csv")
    number = {"voc12": 3, "coco14": 2}[workflow.config["dataset"]["name"]]
    assert len(index.read_text().splitlines()) == 1 + number
    (masks,) = workflow.results.glob("masks/*/masks.csv")
    assert len(masks.read_text().splitlines()) == 1 + number
