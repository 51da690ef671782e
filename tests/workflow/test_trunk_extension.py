"""A trunk in a file of the user's own: a classifier, class maps, IRN and a segmenter on it."""

import shutil

import h5py
import pytest

from tests.workflow.workflow import REPOSITORY, Workflow, small_demo
from wsss_core.config import load_config
from wsss_core.errors import UserError
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.refinement.affinity_method import load_affinity

pytestmark = pytest.mark.xdist_group("trunk_extension")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("trunk_extension"), small_demo("cam"))
    extension = workflow.folder / "plain.py"
    shutil.copy(REPOSITORY / "docs" / "examples" / "plain.py", extension)
    workflow.config["extensions"] = [str(extension)]
    workflow.config["backbones"]["small"] = {"network": "plain", "width": 4, "output_stride": 8, "weights": "scratch"}
    workflow.run()
    return workflow


def test_maps_and_predictions_are_made_with_it(finished):
    (shard,) = (finished.results / "cams").glob("cam-*/shards/*.h5")
    with h5py.File(shard) as file:
        assert len(file) == 80
    assert list((finished.results / "experiments" / "cam").glob("**/*")) and list(finished.results.glob("report.html"))


def test_every_file_is_read_again(finished):
    readers = {"classifier": load_classifier, "affinity": load_affinity, "segmenter": load_segmenter}
    for stage, read in readers.items():
        (weights,) = (finished.results / stage).glob("*/weights.safetensors")
        network = read(weights)
        trunk = getattr(network, "network", network).trunk
        assert type(trunk).__name__ == "PlainTrunk" and trunk.channels == (4, 8, 16, 32)


def test_the_configuration_keeps_its_settings(finished):
    config = load_config(finished.config)
    assert config.model_dump()["backbones"]["small"]["width"] == 4
    finished.config["backbones"]["small"]["weights"] = "imagenet"
    try:
        assert "there are no ImageNet weights for plain" in finished.attempt("--dry-run").stdout
    finally:
        finished.config["backbones"]["small"]["weights"] = "scratch"


def test_a_changed_trunk_makes_all_that_rests_on_it_again(finished):
    assert finished.planned() == {}
    other = finished.changed()
    other.config["backbones"]["small"]["width"] = 5
    of_settings = other.planned()
    (finished.folder / "plain.py").write_text((finished.folder / "plain.py").read_text() + "\n# changed\n")
    of_file = finished.planned()
    (weights,) = (finished.results / "classifier").glob("*/weights.safetensors")
    with pytest.raises(UserError, match=r"plain\.py: the extension has changed"):
        load_classifier(weights)
    assert of_file == of_settings
    made = {"prepare_backbone", "train_classifier", "generate_cams", "train_affinity", "train_segmenter"}
    assert made <= of_file.keys() and "index_dataset" not in of_file
