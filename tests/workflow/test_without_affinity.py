"""PAR, PAMR and masks of segments on class maps and IRN's labels, through the workflow."""

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

from .workflow import Workflow

pytestmark = pytest.mark.xdist_group("finished")
SMALL = {"shrink": 1, "dilations": [1, 2], "iterations": 3}


@pytest.fixture(scope="module")
def refined(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    shutil.rmtree(folder)
    shutil.copytree(finished.folder, folder, symlinks=True)
    workflow = Workflow(folder, finished.changed().config)
    config = workflow.config
    index = pandas.read_csv(next((workflow.results / "dataset").glob("*/index.csv")))
    for image_id, height, width in index.loc[index["split"] == "train", ["image_id", "height", "width"]].values:
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 255
        (folder / "masks" / image_id).mkdir(parents=True)
        Image.fromarray(mask).save(folder / "masks" / image_id / "0.png")
    masks = {"folder": str(folder / "masks")}
    config["affinities"]["irn_par"] = {
        "extends": "irn",
        "labels": {"par": SMALL},
        "pseudo_labels": {"pamr": SMALL, "sam_masks": masks},
    }
    config["affinities"]["par"] = {"method": "none", "pseudo_labels": {"par": SMALL}}
    config["affinities"]["joined"] = {"method": "none", "pseudo_labels": {"crf": None, "sam_masks": masks}}
    config["experiments"] = {name: {"cams": "cam", "affinity": name} for name in ("irn_par", "par", "joined")}
    workflow.run()
    return workflow


@pytest.fixture(scope="module")
def summary(refined):
    return pandas.read_csv(refined.results / "summary.csv").set_index("experiment")


def test_all_is_scored_and_says_what_it_was_made_with(refined, summary):
    assert (summary["pseudo_labels"].astype(float) > 0).all() and summary.loc["irn_par", "refined_seed"] > 0
    scores = {
        name: pandas.read_csv(refined.results / f"experiments/{name}/pseudo_labels/labels.scores.csv").iloc[0]
        for name in summary.index
    }
    assert {name: row["crf"] for name, row in scores.items()} == {
        "irn_par": "no, PAMR",
        "par": "no, PAR",
        "joined": "no",
    }
    joined = f"image labels, joined with the masks of {refined.folder / 'masks'}"
    assert scores["joined"]["labels"] == scores["irn_par"]["labels"] == joined
    assert scores["par"]["labels"] == "image labels"
    assert refined.planned() == {}


def test_a_label_fills_its_segment(refined):
    stages = Plan(load_config(refined.config)).experiments["joined"]
    labels = read_label_manifest((refined.folder / stages["pseudo_labels"].directory).glob("labels/*.csv"))
    halves = [read_mask(path)[: read_mask(path).shape[0] // 2] for path in labels.values()]
    filled = [half for half in halves if half.any()]
    assert filled and any((half == half.max()).all() for half in filled)


def test_only_averaging_asks_for_a_gpu(refined):
    config = refined.changed().config
    config["runtime"]["device"] = "auto"
    config["affinities"]["crf"] = {"method": "none"}
    config["experiments"]["crf"] = {"cams": "cam", "affinity": "crf"}
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


def test_masks_that_are_missing_are_told_before_anything_runs(refined):
    changed = refined.changed()
    changed.config["affinities"]["joined"]["pseudo_labels"]["sam_masks"] = {"folder": "no_masks"}
    result = changed.attempt("--dry-run")
    assert result.returncode != 0
    assert "affinities.joined.pseudo_labels.sam_masks.folder: there are no masks in no_masks" in result.stdout


def test_changed_masks_are_looked_at_again(refined):
    image = next((refined.folder / "masks").iterdir())
    shutil.copy(image / "0.png", image / "1.png")
    planned = refined.planned("pseudo_labels")
    assert planned["index_sam_masks"] == 1 and planned["make_pseudo_labels"] == 2
