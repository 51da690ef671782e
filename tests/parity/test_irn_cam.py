"""Class maps of an ordinary classifier against IRN's ``make_cam``; tolerances of ``tests/golden/README.md``."""

import re

import pytest
import torch

from tests.parity.cases import Case
from tests.parity.imported import Imported, largest_difference
from wsss_core.cams.multiscale import multiscale_class_maps
from wsss_core.config.cams import MultiscaleCams
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.networks.classifier_files import load_classifier

pytestmark = pytest.mark.xdist_group("advcam")

MAPS = 2e-5


@pytest.mark.golden("irn_cam*.npz")
def test_rescaled_images(case: Case):
    names = [match for name in case if (match := re.fullmatch(r"input_scale(\d+)p(\d+)", name))]
    assert names
    for match in names:
        scale = float(f"{match[1]}.{match[2]}")
        assert torch.equal(normalise(rescale(case["image"], scale)), case.tensor(match[0]))


@pytest.mark.golden("irn_cam*.npz")
def test_rectified_maps_of_all_classes_at_one_scale(case: Case, imported: Imported):
    image = normalise(case["image"])
    maps, _ = load_classifier(imported("irn-cam")).evidence(torch.stack([image, image.flip(2)]))
    found = maps[0] + maps[1].flip(2)
    assert largest_difference(found, case.tensor("relu_cam_scale1_all20")) <= MAPS


@pytest.mark.golden("irn_cam*.npz")
def test_maps_of_an_image(case: Case, imported: Imported):
    assert case["keys"].tolist() == case["labels"].tolist()
    classifier = load_classifier(imported("irn-cam"))
    parameters = MultiscaleCams(classifier="c")
    cam, high_res = multiscale_class_maps(classifier, case["image"], case["keys"].tolist(), parameters).normalised()
    assert largest_difference(cam, case.tensor("cam")) <= MAPS
    assert high_res is not None
    assert largest_difference(high_res, case.tensor("high_res")) <= MAPS
