"""Class maps whose classes are balanced, through the workflow."""

import json
import shutil

import numpy as np
import pandas
import pytest

from wsss_core.config import load_config
from wsss_core.files.cam_store import CamStoreReader
from wsss_core.plan.plan import Plan

from .workflow import Workflow

pytestmark = pytest.mark.xdist_group("finished")


@pytest.fixture(scope="module")
def balanced(finished, tmp_path_factory):
    """The finished run, and then an experiment with the same maps, balanced, in two shards."""
    folder = tmp_path_factory.mktemp("balanced")
    shutil.rmtree(folder)
    shutil.copytree(finished.folder, folder, symlinks=True)
    workflow = Workflow(folder, finished.changed().config)
    rule = {"rule": "mean_and_deviation"}
    workflow.config["cams"]["level"] = {"extends": "advcam", "balance_classes": True, "threshold": rule}
    workflow.config["affinities"]["only_crf"] = {"method": "none"}
    workflow.config["experiments"]["level"] = {"cams": "level", "affinity": "only_crf"}
    workflow.config["runtime"]["shards"] = 2
    planned = workflow.planned()
    workflow.run()
    return workflow, planned


def test_maps_are_not_drawn_again(balanced):
    workflow, planned = balanced
    assert planned["measure_classes"] == 1 and planned["balance_classes"] == 2
    assert not {"generate_cams", "train_classifier", "record_climb"} & planned.keys()
    assert workflow.planned() == {}


def test_they_are_the_drawn_maps_raised_to_powers(balanced):
    workflow, _ = balanced
    made = Plan(load_config(workflow.config)).experiments["level"]["cams"]
    folder, drawn = (workflow.folder / artifact.directory for artifact in (made, made.upstream["drawn"]))
    powers = json.loads((folder / "powers.json").read_text())["classes"]
    assert len(sorted((folder / "shards").glob("*.h5"))) == 2 and len(sorted((drawn / "shards").glob("*.h5"))) == 1
    assert any(abs(one["power"] - 1) > 0.01 for one in powers.values())
    with (
        CamStoreReader(sorted((folder / "shards").glob("*.h5"))) as after,
        CamStoreReader(sorted((drawn / "shards").glob("*.h5"))) as before,
    ):
        assert after.image_ids == before.image_ids
        for image_id in before.image_ids:
            old, new = before.read(image_id), after.read(image_id)
            for index, one, other in zip(old.classes, old.cam, new.cam, strict=True):
                power = powers[before.classes[index]]["power"]
                np.testing.assert_allclose(other, one.astype(float) ** power, atol=1e-3)


def test_its_scores_are_in_the_summary(balanced):
    workflow, _ = balanced
    summary = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    assert summary.loc["level", ["seed", "seed_oracle", "pseudo_labels"]].gt(0).all()
    assert summary.loc["level", "seed_oracle"] != summary.loc["advcam", "seed_oracle"]
    for figure in ("seed", "pseudo_labels"):
        assert summary.loc["level", f"{figure}_seen_at"].endswith(", classes balanced")
        assert "balanced" not in str(summary.loc["advcam", f"{figure}_seen_at"])
