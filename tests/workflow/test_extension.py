"""An objective and a CAM method in files of the user's own, without a change to the package."""

import csv
import shutil

import h5py
import pytest

from tests.workflow.workflow import REPOSITORY, Workflow

pytestmark = pytest.mark.xdist_group("extension")

OWN_NETWORK = """
from typing import Literal
from torch import nn
from wsss_core.classifiers.ordinary import OrdinaryObjective
from wsss_core.config.classifiers import Classifier
from wsss_core.config.extensions import register
from wsss_core.networks.classifier import ClassMapClassifier


@register("classifiers")
class DeepClassifier(Classifier):
    objective: Literal["deep"] = "deep"


class DeepNetwork(ClassMapClassifier):
    architecture = "deep"

    def add_layers(self, channels, classes):
        self.between = nn.Conv2d(channels, 7, 1)
        self.head = nn.Conv2d(7, classes, 1, bias=False)

    def class_maps(self, images):
        return self.head(self.between(self.trunk(images)[-1]).relu())


class DeepObjective(OrdinaryObjective, name="deep"):
    @classmethod
    def build_network(cls, parameters, trunk, classes):
        return DeepNetwork(trunk, classes)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("extension"))
    for name in ("focal.py", "cautious.py", "weighted_seenet.py"):
        shutil.copy(REPOSITORY / "docs" / "examples" / name, workflow.folder)
    (workflow.folder / "deep.py").write_text(OWN_NETWORK)
    config = workflow.config
    config["extensions"] = ["focal.py", "cautious.py", "deep.py", "weighted_seenet.py"]
    config["classifiers"]["weighted"] = {"extends": "seenet", "objective": "weighted_seenet", "second_weight": 0.25}
    config["cams"]["weighted"] = {"extends": "seenet", "classifier": "weighted"}
    config["classifiers"]["deep"] = {"extends": "ordinary", "objective": "deep"}
    config["cams"]["deep"] = {"extends": "cam", "classifier": "deep"}
    config["classifiers"]["focal"] = {"extends": "ordinary", "objective": "focal", "gamma": 1.5}
    config["cams"]["mine"] = {"method": "cautious", "classifier": "focal"}
    config["experiments"] = {name: {"cams": name} for name in ("mine", "deep", "weighted", "cam")}
    workflow.run("cams")
    return workflow


def test_maps_are_drawn_by_the_users_method_from_the_users_classifier(finished):
    (shard,) = (finished.results / "cams").glob("mine-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 80
    (curve,) = (finished.results / "classifier").glob("focal-*/training.csv")
    assert len(curve.read_text().splitlines()) == 4


def test_maps_are_drawn_from_a_network_of_the_users(finished):
    (shard,) = (finished.results / "cams").glob("deep-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 80


def test_a_variant_of_seenet_has_its_network_and_its_maps(finished):
    (shard,) = (finished.results / "cams").glob("weighted-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 80
    (curve,) = (finished.results / "classifier").glob("weighted-*/training.csv")
    with curve.open() as file:
        losses = {key: float(value) for key, value in next(csv.DictReader(file)).items()}
    weighted = losses["initial"] + 0.25 * (losses["erased"] + losses["background"])
    assert losses["loss"] == pytest.approx(weighted, rel=1e-4)


def test_a_changed_extension_makes_its_own_artifacts_again_and_no_others(finished):
    assert finished.planned("cams") == {}
    extension = finished.folder / "focal.py"
    extension.write_text(extension.read_text() + "\n# changed\n")
    assert finished.planned("cams") == {
        **{"train_classifier": 1, "score_classifier": 1},
        **{"generate_cams": 1, "cams": 1},
    }


def test_a_missing_or_failing_extension_is_reported(finished):
    changed = finished.changed()
    (finished.folder / "broken.py").write_text("import nothing_of_this_name\n")
    changed.config["extensions"] = ["focal.py", "cautious.py", "deep.py", "gone.py", "broken.py"]
    output = changed.attempt("--dry-run").stdout
    assert "extensions: gone.py: the extension cannot be read (No such file or directory)" in output
    assert "broken.py: the extension fails: ModuleNotFoundError: No module named 'nothing_of_this_name'" in output
