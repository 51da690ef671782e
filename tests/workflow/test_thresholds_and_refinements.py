"""Chosen thresholds, IRN, and pseudo labels without an affinity, through the workflow."""

import json
import shutil

import numpy as np
import pandas
import pytest

from wsss_core.config import load_config
from wsss_core.config.background import BackgroundScore
from wsss_core.config.refinement import PseudoLabels
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.plan.plan import Plan
from wsss_core.refinement.pseudo_label_map import pseudo_label_map

from .workflow import Workflow

pytestmark = pytest.mark.xdist_group("finished")

LISTED = 12
"""Images of the list that a threshold is chosen on."""


@pytest.fixture(scope="module")
def chosen(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chosen")
    shutil.rmtree(folder)
    shutil.copytree(finished.folder, folder, symlinks=True)
    workflow = Workflow(folder, finished.changed().config)
    index = pandas.read_csv(next((workflow.results / "dataset").glob("*/index.csv")))
    listed = index.loc[index["split"] == "train", "image_id"].head(LISTED)
    (folder / "held_out.txt").write_text("\n".join(listed) + "\n")
    config = workflow.config
    config["cams"]["oracle"] = {"extends": "cam", "threshold": {"best_on": "train"}}
    subset = {"best_on": "subset", "subset": str(folder / "held_out.txt")}
    config["affinities"]["irn"]["pseudo_labels"]["background"] = {"threshold": subset}
    config["affinities"]["authors"] = {
        "extends": "affinitynet",
        "stride": 8,
        "border_pairs": False,
        "radius": 3,
        "pseudo_labels": {"background": {"walked_alpha": 8}, "crf": None, "unsure_below": 0.3},
    }
    config["affinities"]["only_crf"] = {"method": "none"}
    for experiment in ("cam", "advcam"):
        config["experiments"][experiment]["affinity"] = "affinitynet"
    config["experiments"] |= {
        "irn": {"cams": "cam", "affinity": "irn"},
        "walked_background": {"cams": "cam", "affinity": "authors"},
        "oracle": {"cams": "oracle", "affinity": "only_crf"},
    }
    workflow.run()
    return workflow


@pytest.fixture(scope="module")
def summary(chosen):
    return pandas.read_csv(chosen.results / "summary.csv").set_index("experiment")


def test_what_was_there_is_not_made_again(chosen):
    for stage, number in (("classifier", 1), ("cams", 2), ("affinity", 5), ("walked_cams", 5)):
        assert len(list((chosen.results / stage).iterdir())) == number, stage
    assert chosen.planned() == {}


def test_every_score_says_where_its_threshold_comes_from(chosen, summary):
    oracle = summary.loc["oracle"]
    assert oracle["seed"] == oracle["seed_oracle"]
    best = float(oracle["seed_oracle_background"].split()[0])
    assert oracle["seed_background"] == f"{best:.2f} (best on train: an oracle)"
    assert oracle["pseudo_labels_background"] == f"the seed's {best:.2f} (best on train: an oracle)"
    assert summary.loc["cam", "seed_background"] == "0.28 (fixed)"
    threshold = json.loads(next((chosen.results / "threshold").glob("cam-irn-*/threshold.json")).read_text())
    words = f"{threshold['threshold']:.2f} (best on the images of {chosen.folder / 'held_out.txt'})"
    assert summary.loc["irn", "pseudo_labels_background"] == words and threshold["images"] == LISTED
    assert summary.loc["walked_background", "pseudo_labels_background"] == "(1 - max)^8, walked along"
    text = (chosen.results / "summary.md").read_text()
    assert words in text and "| oracle † |" in " ".join(text.split())
    scores = pandas.read_csv(chosen.results / "experiments/irn/pseudo_labels/labels.scores.csv")
    assert scores["background"].tolist() == [words] and scores["crf"].tolist() == ["yes"]


def check_labels(workflow, experiment, seed_threshold=None, threshold=None):
    """The experiment's pseudo labels are those of this threshold, and not those of a much higher one."""
    stages = Plan(load_config(workflow.config)).experiments[experiment]
    settings = PseudoLabels(**stages["pseudo_labels"].parameters["pseudo_labels"])
    if threshold is None:
        threshold = round(settings.background.times_seed_threshold * seed_threshold, 2)
    maps = stages.get("walked_cams", stages["cams"])
    (table,) = (workflow.results / "dataset").glob("*/index.csv")
    images = pandas.read_csv(table).set_index("image_id")["image"]
    labels = read_label_manifest(sorted((workflow.folder / stages["pseudo_labels"].directory).glob("labels/*.csv")))
    differ = 0
    with CamStoreReader(sorted((workflow.folder / maps.directory).glob("shards/*.h5"))) as reader:
        for image_id in labels:
            expected, of_higher = (
                pseudo_label_map(
                    workflow.folder / images[image_id],
                    reader.read(image_id),
                    BackgroundScore(threshold=score),
                    settings.crf,
                    settings.unsure_below,
                )
                for score in (threshold, 0.9)
            )
            found = read_mask(labels[image_id])
            np.testing.assert_array_equal(found, expected, err_msg=image_id)
            differ += (found != of_higher).any()
    assert differ > 0


def test_labels_are_those_of_the_chosen_threshold(chosen):
    (file,) = (chosen.results / "threshold").glob("cam-irn-*/threshold.json")
    check_labels(chosen, "irn", threshold=json.loads(file.read_text())["threshold"])


def test_labels_follow_the_seeds_threshold(chosen, summary):
    check_labels(chosen, "oracle", float(summary.loc["oracle", "seed_oracle_background"].split()[0]))


def test_all_refinements_are_scored(summary):
    for experiment in ("irn", "walked_background"):
        scores = summary.loc[experiment, ["seed", "refined_seed", "walk", "pseudo_labels"]].astype(float)
        assert ((scores > 0) & (scores < 100)).all()
    assert summary.loc["oracle", ["refined_seed", "walk"]].isna().all() and summary.loc["oracle", "pseudo_labels"] > 0
    # Without a CRF, pixels without label are what the pseudo labels lack of the walked maps.
    assert summary.loc["walked_background", "pseudo_labels"] <= summary.loc["walked_background", "walk"]


def test_a_changed_list_chooses_again(chosen):
    path = chosen.folder / "held_out.txt"
    path.write_text(path.read_text().split("\n", 1)[1])
    again = ("index_subset", "score_subset", "choose_threshold", "make_pseudo_labels", "pseudo_labels")
    assert chosen.planned("pseudo_labels") == dict.fromkeys(again, 1)


def test_a_stranger_in_a_list_is_reported_before_anything_is_trained(tmp_path):
    workflow = Workflow(tmp_path)
    (tmp_path / "list.txt").write_text("nobody\n")
    subset = {"best_on": "subset", "subset": str(tmp_path / "list.txt")}
    workflow.config["cams"]["cam"]["threshold"] = subset
    workflow.config["experiments"] = {"cam": {"cams": "cam"}}
    result = workflow.attempt("--cores", "1", "--workflow-profile", "none", "--scheduler", "greedy")
    assert result.returncode != 0 and "'nobody' is no training image (1 of 1 like it)" in result.stdout
    assert not (workflow.results / "classifier").exists()


def test_a_list_that_is_missing_is_reported_at_once(chosen):
    changed = chosen.changed()
    background = changed.config["affinities"]["irn"]["pseudo_labels"]["background"]
    background["threshold"]["subset"] = "no_such_list.txt"
    result = changed.attempt("--dry-run")
    assert result.returncode != 0 and "there is no file no_such_list.txt; it lists image ids" in result.stdout
