"""PAR, PAMR and masks of segments on class maps, through the workflow."""

import shutil

import numpy as np
import pandas
import pytest
from PIL import Image

from wsss_core.config import load_config
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.plan.plan import Plan
from wsss_core.plan.rules import Rules
from wsss_core.plan.score_conditions import score_conditions

from .workflow import Workflow, small_demo

SMALL = {"shrink": 1, "dilations": [1, 2], "iterations": 3}


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    config = small_demo("cam")
    config["dataset"]["generate"] |= {"train_images": 12, "val_images": 4, "size": 32}
    config["backbones"] = {"small": {"network": "resnet_small", "output_stride": 8, "weights": "scratch"}}
    config["classifiers"] = {"ordinary": config["classifiers"]["ordinary"]}
    config["classifiers"]["ordinary"] |= {"augmentation": {"crop": 32}}
    config["cams"] = {"cam": config["cams"]["cam"]}
    config["affinities"] = {"irn": config["affinities"]["irn"], "crf": {"method": "none"}}
    config["affinities"]["irn"]["augmentation"]["crop"] = 36
    del config["segmenters"]
    config["experiments"] = {"crf": {"cams": "cam"}}
    workflow = Workflow(folder, config)
    workflow.run("dataset")
    index = pandas.read_csv(next((workflow.results / "dataset").glob("*/index.csv")))
    for image_id, height, width in index.loc[index["split"] == "train", ["image_id", "height", "width"]].values:
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 255
        (folder / "masks" / image_id).mkdir(parents=True)
        Image.fromarray(mask).save(folder / "masks" / image_id / "0.png")
    masks = {"folder": str(folder / "masks")}
    config["affinities"]["par"] = {"method": "none", "pseudo_labels": {"par": SMALL}}
    config["affinities"]["joined"] = {"method": "none", "pseudo_labels": {"crf": None, "sam_masks": masks}}
    config["experiments"] = {name: {"cams": "cam", "affinity": name} for name in ("par", "joined")}
    workflow.run("pseudo_labels")
    return workflow


def with_all_refinements(workflow):
    """A changed copy, whose further experiments are only planned."""
    changed = workflow.changed()
    changed.config["affinities"]["irn_par"] = {
        "extends": "irn",
        "labels": {"par": SMALL},
        "pseudo_labels": {"pamr": SMALL},
    }
    names = ("irn_par", "par", "joined", "crf")
    changed.config["experiments"] = {name: {"cams": "cam", "affinity": name} for name in names}
    return changed


def test_scores_say_what_labels_were_made_with(refined):
    experiments = Plan(load_config(with_all_refinements(refined).config)).experiments
    said = {name: score_conditions(stages["pseudo_labels"]) for name, stages in experiments.items()}
    crf = {name: conditions["crf"] for name, conditions in said.items()}
    assert crf == {"irn_par": "no, PAMR", "par": "no, PAR", "joined": "no", "crf": "yes"}
    assert score_conditions(experiments["irn_par"]["refined_seeds"])["crf"] == "no, PAR"
    labels = {name: conditions["labels"] for name, conditions in said.items()}
    assert labels.pop("joined") == f"image labels, joined with the masks of {refined.folder / 'masks'}"
    assert set(labels.values()) == {"image labels"}


def test_a_label_fills_its_segment(refined):
    stages = Plan(load_config(refined.config)).experiments["joined"]
    labels = read_label_manifest((refined.folder / stages["pseudo_labels"].directory).glob("labels/*.csv"))
    halves = [read_mask(path)[: read_mask(path).shape[0] // 2] for path in labels.values()]
    filled = [half for half in halves if half.any()]
    assert filled and any((half == half.max()).all() for half in filled)


def test_only_averaging_asks_for_a_gpu(refined):
    config = with_all_refinements(refined).config
    config["runtime"]["device"] = "auto"
    rules = Rules(config)

    class Wildcards:
        def __init__(self, artifact):
            self.artifact = artifact.name

    gpus = {}
    for name, stages in rules.plan.experiments.items():
        for stage, rule in (
            ("refined_seeds", "refine_seeds"),
            ("affinity_labels", "make_affinity_labels"),
            ("pseudo_labels", "make_pseudo_labels"),
        ):
            if stage in stages:
                gpus[name, stage] = rules.resources(rule)["gpu"](Wildcards(stages[stage]))
    assert {key for key, gpu in gpus.items() if gpu == 1} == {
        *(("irn_par", stage) for stage in ("refined_seeds", "affinity_labels", "pseudo_labels")),
        ("par", "pseudo_labels"),
    }
    config["runtime"]["device"] = "cpu"
    assert Rules(config).resources("make_pseudo_labels")["gpu"] == 0


def test_masks_that_are_missing_are_reported_before_anything_runs(refined):
    changed = refined.changed()
    changed.config["affinities"]["joined"]["pseudo_labels"]["sam_masks"] = {"folder": "no_masks"}
    result = changed.attempt("--dry-run")
    assert result.returncode != 0
    assert "affinities.joined.pseudo_labels.sam_masks.folder: there are no masks in no_masks" in result.stdout


def test_nothing_is_left_to_do(refined):
    assert refined.planned("pseudo_labels") == {}


def test_changed_masks_are_looked_at_again(refined):
    image = next((refined.folder / "masks").iterdir())
    shutil.copy(image / "0.png", image / "1.png")
    planned = refined.planned("pseudo_labels")
    assert planned["index_sam_masks"] == 1 and planned["make_pseudo_labels"] == 1
