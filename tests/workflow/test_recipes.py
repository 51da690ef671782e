"""The recipes for real data sets, planned at the true sizes, as ``snakemake -n`` shows it, and read on small trees."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from tests.datasets.voc_tree import VocTree
from tests.plan.shipped_plans import shipped_content
from wsss_core.config.class_names import COCO_CLASSES, VOC_CLASSES

from .clip_files import write_clip_files
from .workflow import REPOSITORY, Workflow

CONFIGS = REPOSITORY / "configs"
RECIPES = sorted(
    str(path.relative_to(CONFIGS).with_suffix(""))
    for path in CONFIGS.rglob("*.yaml")
    if path.stem.startswith(("voc", "coco"))
)
"""Ablations, which are laid over the recipe of their name, among them."""
EVERY_STAGE = {"index_dataset", "prepare_backbone", "train_classifier", "generate_cams", "all"}
LEARNED = {"make_affinity_labels", "train_affinity"}
WITH_SEGMENTER = {"make_pseudo_labels", "train_segmenter", "predict"}
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
    saliency.mkdir(exist_ok=True)
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


VOC_IMAGES = {"train": 1_464, "val": 1_449, "test": 1_456}
TRAIN_AUG, SBD_TRAIN = 10_582, 8_498
COCO_IMAGES = {"train2014": 82_783, "val2014": 40_504}


def voc_of_true_size(root: Path) -> None:
    """VOC 2012 and SBD: lists of as many images as they have. Planning opens no image, and no folder has any."""
    augmented = [f"2008_{number:06d}" for number in range(TRAIN_AUG)]
    ids = {"train": augmented[: VOC_IMAGES["train"]], "train_aug": augmented}
    ids |= {split: [f"2009_{split}_{number:06d}" for number in range(VOC_IMAGES[split])] for split in ("val", "test")}
    lists, sbd = root / "ImageSets/Segmentation", root.parents[1] / "benchmark_RELEASE/dataset"
    saliency = root.parents[1] / "saliency"
    images = (root / name for name in ("JPEGImages", "Annotations", "SegmentationClass"))
    for folder in (lists, sbd / "cls", saliency, *images):
        folder.mkdir(parents=True)
    for split, names in ids.items():
        write_list(lists / f"{split}.txt", names)
    write_list(sbd / "train.txt", augmented[:SBD_TRAIN])
    write_list(sbd / "val.txt", augmented[SBD_TRAIN:])


def write_list(path: Path, names: list[str]) -> None:
    path.write_text("".join(f"{name}\n" for name in names))


def coco_of_true_size(root: Path) -> None:
    """MS-COCO 2014 and COCO-Stuff: descriptions of as many images as they have, with an object each."""
    for folder in (root / "annotations", root.parent / "coco-stuff", *(root / split for split in COCO_IMAGES)):
        folder.mkdir(parents=True)
    categories = [{"id": k, "name": name} for k, name in enumerate(COCO_CLASSES, start=1)]
    image = '{{"id": {0}, "file_name": "COCO_{1}_{0:012d}.jpg", "height": 480, "width": 640}}'
    object_ = '{{"id": {0}, "image_id": {0}, "category_id": {1}, "bbox": [1, 1, 9, 9], "iscrowd": 0}}'
    for split, number in COCO_IMAGES.items():
        images = ",".join(image.format(n, split) for n in range(1, number + 1))
        objects = ",".join(object_.format(n, 1 + n % 80) for n in range(1, number + 1))
        described = f'{{"images": [{images}], "annotations": [{objects}], "categories": {json.dumps(categories)}}}'
        (root / "annotations" / f"instances_{split}.json").write_text(described)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Where the recipes' roots lie: data sets of the true sizes."""
    folder = tmp_path_factory.mktemp("true_sizes") / "data"
    voc_of_true_size(folder / "VOCdevkit/VOC2012")
    coco_of_true_size(folder / "coco")
    return folder


@pytest.fixture
def workflow_of_true_size(tmp_path, request, data):
    """A recipe beside data sets of the true sizes."""
    (tmp_path / "data").symlink_to(data)
    return workflow_of(request.param, tmp_path)


@pytest.fixture
def workflow(tmp_path, request):
    """A recipe on a small tree that lies where the recipe looks for the data set."""
    made = workflow_of(request.param, tmp_path)
    TREES[made.config["dataset"]["name"].removesuffix("-laptop")](tmp_path / made.config["dataset"]["root"])
    return made


def workflow_of(recipe: str, tmp_path: Path) -> Workflow:
    config = yaml.safe_load(yaml.safe_dump(shipped_content(CONFIGS / f"{recipe}.yaml")))
    for backbone in config["backbones"].values():
        if backbone.get("weights", "imagenet").endswith(
            ".safetensors"
        ):  # imported; planning asks only whether it is there
            path = tmp_path / backbone["weights"]
            path.parent.mkdir(exist_ok=True)
            path.touch()
    write_clip_files(config, tmp_path)
    return Workflow(tmp_path, config)


@pytest.mark.parametrize("workflow_of_true_size", RECIPES, indirect=True)
def test_a_recipe_is_planned_from_the_data_set_to_the_scores(workflow_of_true_size):
    workflow = workflow_of_true_size
    planned = workflow.planned()
    assert set(planned) >= EVERY_STAGE | WITH_SEGMENTER | SCORED
    learned = any(
        settings["method"] != "none" for settings in workflow.config["affinities"].values() if "method" in settings
    )
    assert (set(planned) >= LEARNED) == learned
    assert planned["index_dataset"] == planned["index_masks"] == 1
    if any(cams.get("score_every_step") for cams in workflow.config["cams"].values()):
        of_steps = [name for name in workflow.config["cams"] if name.startswith("advcam_steps")]
        assert planned["score_climb"] == len(of_steps) and planned["report_climb_scores"] == 1
        alone = workflow.planned("climb_scores")
        assert alone["score_climb"] == len(of_steps) and "generate_cams" not in alone  # each image climbs once
    if "sweeps" not in workflow.config:  # whose points have segmenters of their own
        keys = ("segmenter", "cams", "affinity", "labels", "masks_of")
        with_segmenter = [e for e in workflow.config["experiments"].values() if "segmenter" in e]
        trained = {str([experiment.get(key) for key in keys]) for experiment in with_segmenter}
        assert planned["train_segmenter"] == len(trained)


@pytest.mark.parametrize("workflow_of_true_size", ["voc12-cgnet"], indirect=True)
def test_without_a_climb_to_score_it_says_what_to_set(workflow_of_true_size):
    result = workflow_of_true_size.attempt("climb_scores", "--dry-run")
    assert result.returncode != 0 and "has 'score_every_step: true'" in result.stdout


@pytest.mark.parametrize(
    "workflow", ["voc12-advcam-irn", "voc12-seenet", "coco14-advcam-irn", "coco14-aeft"], indirect=True
)
def test_the_data_sets_of_the_recipes_are_read_by_them(workflow):
    workflow.run("check_dataset")
    (index,) = workflow.results.glob("dataset/*/index.csv")
    number = {"voc12": 3, "coco14": 2}[workflow.config["dataset"]["name"]]
    assert len(index.read_text().splitlines()) == 1 + number
    (masks,) = workflow.results.glob("masks/*/masks.csv")
    assert len(masks.read_text().splitlines()) == 1 + number
