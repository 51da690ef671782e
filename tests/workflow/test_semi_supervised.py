"""Masks of some images and pseudo labels of the others, through the workflow; and what they are worth."""

import shutil

import pandas
import pytest
import yaml

from .workflow import REPOSITORY, Workflow

pytestmark = pytest.mark.xdist_group("finished")

SHARE = 10
"""One of so many training images has a mask."""


def list_masks(workflow, every):
    """Write a list of every so manieth training image, which all experiments with ``masks_of`` are given."""
    generated = workflow.config["dataset"]["generate"]
    path = workflow.folder / "masks.txt"
    path.write_text("\n".join(f"creature_{number:06d}" for number in range(0, generated["train_images"], every)))
    return str(path)


def test_masks_and_pseudo_labels_are_mixed_and_reported(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    workflow = Workflow(folder, finished.changed().config)
    listed = list_masks(workflow, SHARE)
    weak = workflow.config["experiments"]["cam"]
    decoders = {"noise": 1, "drop": 1, "dropout": 1, "cutout": 1, "adversarial": 1}
    workflow.config["segmenters"]["consistent"] = {"extends": "deeplab", "consistency": {"decoders": decoders}}
    workflow.config["experiments"] |= {
        "semi": {**weak, "masks_of": {"file": listed, "share": 0.25, "pseudo_weight": 0.5}},
        "consistent": {**weak, "segmenter": "consistent", "masks_of": {"file": listed, "pseudo_weight": 0}},
        "few": {"labels": "masks", "segmenter": "deeplab", "masks_of": listed},
    }
    assert workflow.planned("predictions") == {
        "index_subset": 1,  # one list, whatever it is used for
        "train_segmenter": 3,
        "predict": 3,
        "predictions": 1,
    }
    workflow.run()
    summary = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    assert summary["labels"].to_dict() == {
        "cam": "pseudo",
        "advcam": "pseudo",
        "full": "masks",
        "semi": f"masks of {listed}, pseudo",
        "consistent": f"masks of {listed}, pseudo",
        "few": f"masks of {listed}",
    }
    assert summary["val"].notna().all()
    (log,) = workflow.results.glob("logs/train_segmenter/cam-irn-some_masks-deeplab-*.log")
    assert "training on 8 images with masks and 72 others" in log.read_text()
    (curve,) = workflow.results.glob("segmenter/cam-irn-some_masks-consistent-*/training.csv")
    assert {"supervised", "consistency", "auxiliary"} <= set(pandas.read_csv(curve).columns)
    listing = workflow.folder / "masks.txt"
    listing.write_text(listing.read_text().split("\n", 1)[1])
    again = {"index_subset": 1, "train_segmenter": 3, "segmenter": 1}
    assert workflow.planned("segmenter") == again


def test_a_wrong_list_is_reported_before_anything_is_trained(tmp_path):
    workflow = Workflow(tmp_path)
    listed = tmp_path / "list.txt"
    workflow.config["experiments"] = {"semi": {**workflow.config["experiments"]["cam"], "masks_of": str(listed)}}
    result = workflow.attempt("--dry-run")
    assert result.returncode != 0 and f"experiments.semi.masks_of: there is no file {listed}" in result.stdout
    listed.write_text("creature_000000\nnobody\n")
    result = workflow.attempt("--cores", "1", "--workflow-profile", "none", "--scheduler", "greedy")
    assert result.returncode != 0 and "'nobody' is no training image (1 of 2 like it)" in result.stdout
    assert not (workflow.results / "classifier").exists()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_some_masks_are_worth_more_than_none_and_less_than_all(tmp_path):
    """The mean over three data seeds, with the demo's settings."""
    scores = []
    for seed in range(3):
        config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
        config["dataset"]["generate"]["seed"] = seed
        workflow = Workflow(tmp_path / str(seed), config)
        workflow.folder.mkdir()
        weak = config["experiments"]["cam"]
        listed = list_masks(workflow, SHARE)
        semi = {**weak, "masks_of": {"file": listed, "share": 0.3}}
        config["experiments"] = {"weak": weak, "semi": semi, "full": config["experiments"]["full"]}
        workflow.run(seconds=2400)
        table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
        scores.append(table["val"])
        shutil.rmtree(workflow.folder)
    table = pandas.DataFrame(scores)
    print(table)
    means = table.mean()
    assert means["weak"] < means["semi"] < means["full"]
