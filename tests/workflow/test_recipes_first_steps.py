"""Every shipped recipe does its first steps for real: two images a class, a step a training, all the way to the report.

Networks are the recipes' own, with random weights, on small images and small crops: what is looked for are settings,
shapes and files that do not fit together. ``-k NAME`` runs one of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.datasets.voc_tree import VocTree
from tests.plan.shipped_plans import REPOSITORY, shipped_configurations, shipped_content
from wsss_core.config import load_config
from wsss_core.config.class_names import COCO_CLASSES, VOC_CLASSES
from wsss_core.config.stages import DEFAULT_RESOURCES
from wsss_core.config.token_classifiers import ClipClassifier

from .clip_files import write_random_clip_files
from .workflow import Workflow

RECIPES = [path for path in shipped_configurations() if path.parent != REPOSITORY]
CLASSES_OF_AN_IMAGE = 4
SIZE = (48, 64)
CROP, CROP_OF_PATCHES, CROP_OF_PAIRS = 40, 48, 80
"""Pixels; a vision transformer's crop is of whole patches of 16, and an affinity's has to hold pairs of cells within a
radius."""
SIDES = [40, 56]
"""Of an image whose longer side is resized before it is cropped."""


def images_of(classes: Sequence[str]) -> dict[str, list[str]]:
    """By image id its classes: each class is in two images."""
    in_order = [*classes, *classes]
    step = CLASSES_OF_AN_IMAGE
    return {f"image_{n:03d}": in_order[n * step : (n + 1) * step] for n in range(len(in_order) // step)}


def picture(classes: Sequence[str], known: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """An image with a patch of a colour for each class, and its mask."""
    pixels = np.random.default_rng(len(classes)).integers(90, 130, (*SIZE, 3), dtype=np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    for place, name in enumerate(classes):
        number = known.index(name)
        patch = slice(4, 44), slice(2 + 15 * place, 14 + 15 * place)
        mask[patch] = number + 1
        pixels[patch] = [(37 * number) % 256, (91 * number) % 256, (151 * number) % 256]
    return pixels, mask


def voc(root: Path, dataset: dict[str, Any]) -> None:
    """VOC as its tar unpacks, and SBD, whose training list has two images more than VOC's."""
    saliency = root.parents[1] / "saliency"
    saliency.mkdir(parents=True)
    tree, sbd = VocTree(root, VOC_CLASSES), root.parents[1] / "benchmark_RELEASE/dataset"
    (sbd / "cls").mkdir(parents=True)
    for split, images in (("train", images_of(VOC_CLASSES)), ("val", {"val_0": VOC_CLASSES[:4]})):
        for image_id, names in images.items():
            pixels, mask = picture(names, VOC_CLASSES)
            tree.add(image_id, names, split, size=SIZE, mask=mask)
            Image.fromarray(pixels).save(tree.image(image_id), quality=95)
            Image.fromarray(np.where(mask == 0, 0, 224).astype(np.uint8)).save(saliency / f"{image_id}.png")
            scipy.io.savemat(sbd / "cls" / f"{image_id}.mat", {"GTcls": {"Segmentation": mask}})
    tree.lists["test"] = ["val_0"]
    (sbd / "train.txt").write_text("".join(f"{image_id}\n" for image_id in tree.lists["train"]))
    tree.lists["train"] = tree.lists["train"][:-2]
    tree.write_lists()
    (sbd / "val.txt").write_text("val_0\n")


def coco(root: Path, dataset: dict[str, Any]) -> None:
    """MS-COCO 2014 as its archives unpack, and COCO-Stuff's masks."""
    (root / "annotations").mkdir(parents=True)
    stuff = root.parent / "coco-stuff"
    stuff.mkdir(exist_ok=True)
    numbers = {name: number for number, name in enumerate(COCO_CLASSES, start=1)}
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    for split, images in (("train2014", images_of(COCO_CLASSES)), ("val2014", {"val": COCO_CLASSES[:4]})):
        (root / split).mkdir()
        described: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
        for number, names in enumerate(images.values(), start=1):
            file = f"COCO_{split}_{number:012d}.jpg"
            pixels, mask = picture(names, COCO_CLASSES)
            Image.fromarray(pixels).save(root / split / file, quality=95)
            Image.fromarray(np.where(mask == 0, 255, mask - 1).astype(np.uint8)).save(
                stuff / file.replace("jpg", "png")
            )
            described["images"].append({"id": number, "file_name": file, "height": SIZE[0], "width": SIZE[1]})
            for place, name in enumerate(names):
                left, right = 2 + 15 * place, 14 + 15 * place
                outline = [left, 4, right, 4, right, 44, left, 44]
                described["annotations"].append(
                    {
                        "id": len(described["annotations"]) + 1,
                        "image_id": number,
                        "category_id": numbers[name],
                        "bbox": [left, 4, 12, 40],
                        "area": 480.0,
                        "iscrowd": 0,
                        "segmentation": [outline],
                    }
                )
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(described))


def folder(root: Path, dataset: dict[str, Any]) -> None:
    """A folder of one's own, without masks."""
    (root / "images").mkdir(parents=True)
    names, rows = ("cat", "dog", "owl", "pig"), ["image,label"]
    for number in range(12):
        pixels, _ = picture([names[number % 4]], names)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        rows.append(f"{number}.png,{names[number % 4]}")
    (root / "labels.csv").write_text("\n".join([*rows, ""]))


TREES = {"voc": voc, "coco": coco, "folder": folder}


def shortened(file: Path) -> dict[str, Any]:
    """A recipe with random weights, small crops, one step a training, and few steps of a climb."""
    content = shipped_content(file)
    settings = load_config(content)
    if "generate" in content["dataset"]:
        content["dataset"]["generate"] = {"train_images": 12, "val_images": 4, "size": 48, "seed": 0}
    content["dataset"].pop("long_side", None)
    for name, backbone in content["backbones"].items():
        if "extends" not in backbone:
            content["backbones"][name] = {**backbone, "weights": "scratch"}
            content["backbones"][name].pop("pretext", None)
    for section in ("classifiers", "affinities", "segmenters"):
        for name, variant in content.get(section, {}).items():
            whole = getattr(settings, section)[name]
            if hasattr(whole, "optimisation") and not isinstance(whole, ClipClassifier):  # which has nothing to train
                of_patches = whole.backbone is not None and settings.backbones[whole.backbone].network == "timm"
                in_one_step(variant, whole, CROP_OF_PATCHES if of_patches else CROP)
    for name, variant in content["cams"].items():
        if hasattr(settings.cams[name], "steps"):
            variant["steps"] = 2
    sweeps = content.get("sweeps", {})
    content["sweeps"] = {name: {**sweep, "fields": fields_of(sweep)} for name, sweep in sweeps.items()}
    content["runtime"] = {"device": "cpu", "shards": 1}
    resources = {rule: {**asked.model_dump(), "threads": 1} for rule, asked in DEFAULT_RESOURCES.items()}
    return {**content, "resources": resources}


def name_of(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def fields_of(sweep: dict[str, Any]) -> dict[str, Any]:
    """Two values of each key: the last one, and the one before."""
    return {key: values[-2:] for key, values in sweep["fields"].items()}


def in_one_step(variant: dict[str, Any], whole: Any, crop: int) -> None:
    """Change a training's settings so that it makes one step of all images, in crops of so many pixels."""
    images = 64  # more than there are: a smaller batch is taken if it is the only one
    variant["optimisation"] = {**variant.get("optimisation", {}), "epochs": 1, "batch_size": images}
    if getattr(whole.optimisation, "cosine", None) is not None:
        variant["optimisation"]["cosine"] = {"warmup_epochs": 0}
    if hasattr(whole.optimisation, "accumulate"):
        variant["optimisation"]["accumulate"] = 1
    variant["augmentation"] = {
        **variant.get("augmentation", {}),
        "crop": CROP_OF_PAIRS if hasattr(whole, "walk") else crop,
    }
    if whole.augmentation.long_side is not None:
        variant["augmentation"]["long_side"] = SIDES
    if hasattr(whole, "triplet_batch_size"):
        variant["warmup_epochs"] = 0
        if whole.triplet_batch_size is not None:
            variant["triplet_batch_size"] = images
        if whole.classified_images is not None:
            variant["classified_images"] = images


@pytest.mark.parametrize("file", RECIPES, ids=name_of)
def test_what_the_first_steps_are_made_with_is_a_right_configuration(file):
    content = shortened(file)
    settings = load_config(content)
    assert settings.experiments.keys() == shipped_content(file)["experiments"].keys()
    trained = [
        variant
        for section in ("classifiers", "affinities", "segmenters")
        for variant in getattr(settings, section).values()
    ]
    epochs = [
        v.optimisation.epochs for v in trained if hasattr(v, "optimisation") and not isinstance(v, ClipClassifier)
    ]
    assert epochs and set(epochs) == {1}


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("file", RECIPES, ids=name_of)
def test_a_recipe_does_its_first_steps(file, tmp_path):
    content = shortened(file)
    dataset = content["dataset"]
    if "generate" not in dataset:
        TREES[dataset.get("format", "voc")](tmp_path / dataset["root"], dataset)
    write_random_clip_files(content, tmp_path)
    workflow = Workflow(tmp_path, content)
    workflow.run(seconds=4 * 3600)
    assert (workflow.results / "report.html").exists()
    summary = (workflow.results / "summary.csv").read_text().splitlines()
    assert len(summary) == 1 + len(content["experiments"])
    for curve in workflow.results.glob("*/*/training.csv"):
        variant = curve.parts[-2].rpartition("-")[0]
        clip = curve.parts[-3] == "classifier" and content["classifiers"][variant].get("objective") == "clip"
        if curve.parts[-3] != "backbone" and not clip:
            assert len(curve.read_text().splitlines()) == 2, curve  # one epoch, of one step
