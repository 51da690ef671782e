"""Every method of the demo draws maps, in one small run, and AdvCAM climbs on two other methods' classifiers."""

import h5py
import pytest

from tests.workflow.workflow import Workflow, small_demo

pytestmark = pytest.mark.xdist_group("methods")

METHODS = ("cam", "advcam", "seenet", "cgnet", "aeft", "advcam_cgnet", "advcam_aeft")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("methods"), small_demo(*METHODS))
    for name in ("ordinary", "seenet", "aeft"):  # so few images: fewer epochs leave no class map above 0
        workflow.config["classifiers"][name]["optimisation"]["epochs"] = 12
    for name in METHODS:  # maps only
        workflow.config["experiments"][name] = {"cams": name}
    workflow.run("cams")
    return workflow


def test_every_method_draws_maps(finished):
    for name in METHODS:
        (shard,) = (finished.results / "cams").glob(f"{name}-*/shards/*.h5")
        with h5py.File(shard) as file:
            assert len(file) == 80
            image = next(iter(file.values()))
            assert image["cam"].shape == (len(image["classes"]), 12, 12)
            assert 0 <= image["high_res"][()].min() <= image["high_res"][()].max() <= 1


def test_classifiers_are_shared_by_the_methods_that_draw_from_them(finished):
    trained = sorted(path.name.rpartition("-")[0] for path in (finished.results / "classifier").iterdir())
    assert trained == ["aeft", "cgnet", "ordinary", "seenet"]


def test_advcam_changes_another_methods_maps(finished):
    for name in ("cgnet", "aeft"):
        maps = []
        for variant in (name, f"advcam_{name}"):
            (shard,) = (finished.results / "cams").glob(f"{variant}-*/shards/*.h5")
            with h5py.File(shard) as file:
                maps.append({image_id: image["cam"][()] for image_id, image in file.items()})
        plain, climbed = maps
        changed = [abs(plain[image_id] - climbed[image_id]).max() for image_id in plain]
        assert max(changed) > 0.05


def test_a_changed_erasing_weight_retrains_cgnet_alone(finished):
    changed = finished.changed()
    changed.config["classifiers"]["cgnet"]["erasing_weight"] = 5
    planned = changed.planned("cams")
    assert planned == {"train_classifier": 1, "score_classifier": 1, "generate_cams": 2, "cams": 1}
