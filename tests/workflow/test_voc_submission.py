"""The archive for the VOC server, from the command line; the network is a random one, so that nothing is trained."""

import tarfile

import pytest
import yaml

from tests.datasets.voc_tree import VocTree
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import LargeFov
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter

from .workflow import REPOSITORY, Workflow

TESTED = {"2008_000006": (24, 30), "2008_000011": (33, 17), "2010_000002": (20, 20)}


@pytest.fixture
def workflow(tmp_path):
    tree = VocTree(tmp_path / "voc", VOC_CLASSES)
    tree.lists["test"] = []
    for split in ("train", "val"):
        tree.add(f"{split}_image", ["cat"], split, size=(20, 24), mask=True)
    for image_id, size in TESTED.items():
        tree.add(image_id, [], "test", size=size)
        tree.annotation(image_id).unlink()
    tree.write_lists()
    trunk = {"network": "resnet_small", "output_stride": 8}
    options = LargeFov(backbone="any", channels=8).options
    save_segmenter(tmp_path / "net.safetensors", build_segmenter("largefov", options, Trunk(**trunk), VOC_CLASSES))
    segmenter = {
        "network": "largefov",
        "backbone": "trunk",
        "channels": 8,
        "weights": str(tmp_path / "net.safetensors"),
        "optimisation": {"epochs": 0},
        "prediction": {"crf": None, "keep_probabilities": True},
    }
    return Workflow(
        tmp_path,
        {
            "dataset": {"name": "voc12", "root": str(tree.root), "splits": {"test": "test"}},
            "backbones": {"trunk": {**trunk, "weights": "scratch"}},
            "segmenters": {"net": segmenter},
            "experiments": {
                "six": {"labels": "masks", "segmenter": "net"},
                "five": {"labels": "masks", "segmenter": "net", "competition": "comp5"},
            },
            "runtime": {"device": "cpu", "shards": 2},
        },
    )


def test_the_archives_are_made_and_nothing_else(workflow):
    workflow.run("voc_submission")
    archives = list(workflow.results.glob("voc_submission/net-comp*/results.tgz"))
    packed = set()
    for path in archives:
        with tarfile.open(path) as archive:
            packed |= set(archive.getnames())
    assert packed == {
        f"results/VOC2012/Segmentation/{competition}_test_cls/{image_id}.png"
        for competition in ("comp5", "comp6")
        for image_id in TESTED
    }
    assert len(archives) == 2 and len(list(workflow.results.glob("test_predictions/*"))) == 1
    assert not (workflow.results / "predictions").exists() and not (workflow.results / "masks").exists()
    assert workflow.planned("voc_submission") == {}
    assert "predict_test" not in workflow.planned()  # what `snakemake` alone makes
    assert "nothing to prune" in workflow.run("prune")


def test_without_a_test_list_it_says_what_to_name(workflow):
    del workflow.config["dataset"]["splits"]
    result = workflow.attempt("voc_submission")
    assert result.returncode != 0 and "dataset.splits.test: is missing; name the list" in result.stdout
    assert workflow.attempt("--dry-run").returncode == 0


def test_a_recipe_knows_the_test_list():
    recipes = sorted(set((REPOSITORY / "configs").glob("voc12-*.yaml")) - {REPOSITORY / "configs/voc12-laptop.yaml"})
    assert recipes and all(yaml.safe_load(file.read_text())["dataset"]["splits"]["test"] == "test" for file in recipes)
