"""What programs of the user's own call: the face of the package, its former names, and the whole chain."""

import importlib.util
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

import wsss_core
from wsss_core import extend
from wsss_core.config.cams import AdvCams
from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.segmenter_files import build_segmenter
from wsss_core.segmentation.segment import SegmentedImage, segment

from .markdown import REPOSITORY

TRUNK = Trunk(network="resnet_small", output_stride=8)
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return ClassMapClassifier(TRUNK, ("cat", "cow", "dog")).eval()


@pytest.mark.parametrize("module", [wsss_core, extend], ids=lambda module: module.__name__)
def test_every_name_of_a_face_can_be_imported(module):
    assert all(getattr(module, name).__name__ == name for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'; it has"):
        module.nothing  # noqa: B018


def test_maps_of_one_image(classifier):
    found = wsss_core.draw_cams(classifier, IMAGE)
    assert len(found.classes) and found.full_size().shape == (len(found.classes), 40, 56)
    named = wsss_core.draw_cams(classifier, IMAGE, ["dog", "cat"])
    assert [named.class_names[index] for index in named.classes] == ["cat", "dog"]
    climbed = wsss_core.draw_cams(classifier, IMAGE, ["cat"], AdvCams(classifier="", scales=(1.0,), steps=1))
    assert climbed.cam.shape == (1, 10, 14)
    with pytest.raises(UserError, match="does not know the class 'cart'; it knows cat, cow, dog"):
        wsss_core.draw_cams(classifier, IMAGE, ["cart"])


def test_labels_of_one_image():
    torch.manual_seed(0)
    options = {"atrous_rates": [1, 2], "low_level_skip": True}
    network = build_segmenter("deeplab", options, TRUNK, ("<cat>", "dog")).eval()
    seen = segment(network, IMAGE)
    assert seen.labels.shape == (40, 56) and seen.labels.max() <= 2 and seen.probabilities.shape == (3, 40, 56)
    np.testing.assert_array_equal(np.asarray(seen), seen.labels)
    assert sum(seen.shares().values()) == pytest.approx(1) and seen.overlay().shape == IMAGE.shape
    np.testing.assert_array_equal(segment(network, Image.fromarray(IMAGE)).labels, seen.labels)
    small = segment(network, IMAGE, long_side=28)
    assert small.labels.shape == (40, 56) and small.probabilities.shape == (3, 20, 28)


def test_labels_draw_themselves_in_a_notebook():
    labels = np.zeros((40, 56), np.uint8)
    labels[:10] = 1
    seen = SegmentedImage(IMAGE, labels, ("background", "<cat>", "dog"), np.zeros((3, 40, 56), np.float32))
    html = seen._repr_html_()
    assert html.count("<img ") == 2 and "&lt;cat&gt; 25.0%" in html and "background 75.0%" in html and "dog" not in html
    assert "rgb(128 0 0)" in html


@pytest.mark.parametrize(("old", "name"), [("cam_store", "CamStoreReader"), ("heat", "heat_colours")])
def test_former_names_of_modules_still_work_and_say_so(old, name):
    sys.modules.pop(f"wsss_core.{old}", None)
    with pytest.warns(FutureWarning, match=f"wsss_core.{old} is now wsss_core.files.{old}"):
        module = importlib.import_module(f"wsss_core.{old}")
    assert getattr(module, name).__name__ == name


def test_a_former_program_still_runs():
    command = [sys.executable, "-m", "wsss_core.networks.pretrained", "--help"]
    assert "import" in subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=True).stdout


def test_the_whole_chain(tmp_path):
    path = REPOSITORY / "docs/examples/whole_chain.py"
    specification = importlib.util.spec_from_file_location("whole_chain", path)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    scores = pandas.read_csv(example.whole_chain(tmp_path, epochs=1))
    assert scores["images_scored"][0] == 10 and 0 < scores["miou"][0] < 1
