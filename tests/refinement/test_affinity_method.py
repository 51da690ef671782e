"""Affinity methods of one's own, in extension files."""

from pathlib import Path

import pytest
import torch

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.config.extensions import load_extension, source_of
from wsss_core.config.sections import SECTIONS
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.weights import read_description
from wsss_core.refinement.affinity_method import (
    AFFINITY_METHODS,
    load_affinity,
)
from wsss_core.refinement.affinitynet import AffinityNetMethod
from wsss_core.refinement.spread_cams import walk_settings
from wsss_core.refinement.train_affinity import train_affinity

REPOSITORY = Path(__file__).parents[2]
OWN = """
from typing import Literal
from wsss_core.config.extensions import register
from wsss_core.config.refinement import AffinityNet, Walk
from wsss_core.refinement.affinitynet import AffinityNetMethod


class CautiousWalk(Walk):
    share: float = 0.5


@register("affinities")
class CautiousAffinity(AffinityNet):
    method: Literal["cautious"] = "cautious"
    walk: CautiousWalk = CautiousWalk()


class CautiousMethod(AffinityNetMethod, name="cautious"):
    def walk(self, image, maps, walk):
        return walk.share * super().walk(image, maps, walk)
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads an extension with this text; the method that it registers is forgotten after the test."""
    monkeypatch.setattr(AFFINITY_METHODS, "known", dict(AFFINITY_METHODS.known))

    def run(text):
        (tmp_path / "own.py").write_text(text)
        load_extension(str(tmp_path / "own.py"))
        return tmp_path / "own.py"

    return run


def test_the_packages_own_are_found_by_name():
    assert AFFINITY_METHODS.find("affinitynet") is AffinityNetMethod
    assert AFFINITY_METHODS.find("irn").name == "irn"
    assert {"affinitynet", "irn"} <= set(AFFINITY_METHODS.known)
    with pytest.raises(KeyError):
        AFFINITY_METHODS.find("crf")


def test_a_method_of_ones_own_is_trained_saved_and_used(tmp_path, load):
    file = load(OWN)
    settings = SECTIONS["affinities"].kinds["cautious"](
        backbone="x", radius=3, optimisation={"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}
    )
    assert source_of(settings)["file"] == str(file)
    index, labels = write_images(tmp_path / "images"), {name: tmp_path / f"{name}.png" for name in SIZES}
    for name, path in labels.items():
        write_label_map(path, true_labels(name))
    trunk, weights = write_trunk(tmp_path / "trunk.safetensors"), tmp_path / "weights.safetensors"
    train_affinity(settings, TRUNK, index, labels, trunk, weights, tmp_path / "training.csv", run=Run(device="cpu"))
    assert read_description(weights)["kind"] == "cautious"
    method = load_affinity(weights)
    assert type(method).__name__ == "CautiousMethod" and not method.network.training
    walk = walk_settings({"method": "cautious", "walk": {**settings.walk.model_dump(), "share": 0.25}})
    maps = torch.ones(1, 40, 48).double().numpy()
    walked = method.walk(torch.zeros(40, 48, 3).byte().numpy(), maps, walk)
    assert walked == pytest.approx(0.25)


def test_the_example_of_the_docs_weighs_negative_pairs(load):
    load((REPOSITORY / "docs" / "examples" / "negative_weight.py").read_text())
    images, labels = torch.rand(1, 3, 64, 64), torch.randint(0, 3, (1, 8, 8))
    losses = {}
    for weight in (0.5, 2.0):
        settings = SECTIONS["affinities"].kinds["negative_weight"](backbone="x", radius=3, negative_weight=weight)
        torch.manual_seed(0)
        method = AFFINITY_METHODS.find("negative_weight").build(settings, TRUNK)
        losses[weight] = method.losses(images, labels)
    own, theirs = losses[2.0], AFFINITY_METHODS.find("affinitynet").losses(method, images, labels)
    assert own["negative"] > 0
    torch.testing.assert_close(losses[0.5]["loss"], theirs["loss"])
    torch.testing.assert_close(own["loss"], theirs["loss"] + 1.5 * theirs["negative"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('Literal["cautious"] = "cautious"', 'Literal["irn"] = "irn"', "the name 'irn' is the package's own"),
        ('name="cautious"', 'name="random_walk"', "the name 'random_walk' is the package's own"),
        ('name="cautious"', 'name="bold"', "registers settings 'cautious' for affinities, but not an AffinityMethod"),
    ],
)
def test_faults_are_reported(load, old, new, message):
    assert old in OWN
    with pytest.raises(UserError, match=message):
        load(OWN.replace(old, new))
