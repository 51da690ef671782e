"""SeeNet's erasing and maps against the authors' layer; tolerances of ``tests/golden/README.md``."""

import pytest
import torch
from torch import Tensor

from tests.parity.cases import Case
from tests.parity.imported import Imported, largest_difference
from wsss_core.cams.seenet import _network_input, seenet_class_maps
from wsss_core.config.cams import SeenetCams
from wsss_core.config.classifiers import SeenetClassifier
from wsss_core.networks.classifier_files import load_classifier
from wsss_core.networks.self_erasing import attention, conditionally_rectified, ternary_mask

pytestmark = pytest.mark.xdist_group("seenet")

MAPS = 2e-5
_TEST, _TRAINING = SeenetCams(classifier="c"), SeenetClassifier(backbone="b")
THRESHOLDS = {
    "deploy": (_TEST.high_threshold, _TEST.low_threshold),
    "paper": (_TRAINING.high_threshold, _TRAINING.low_threshold),
}
"""As the defaults of testing and training have them."""


def counts(mask: Tensor) -> list[int]:
    """Cells that are erased, and that are reversed."""
    return [int((mask == 0).sum()), int((mask == -1).sum())]


@pytest.mark.golden("seenet_crelu*.npz")
@pytest.mark.parametrize("name", THRESHOLDS)
def test_erasing_layer(case: Case, name: str):
    score = case.tensor("score")
    mask = ternary_mask(attention(score, case.tensor("label").reshape(len(score), -1)), *THRESHOLDS[name])
    assert torch.equal((mask[0, 0] == 0).nonzero(), case.tensor(f"{name}_pos_gt_maxt"))
    assert torch.equal((mask[0, 0] == -1).nonzero(), case.tensor(f"{name}_pos_lt_mint"))
    features = case.tensor("feat").requires_grad_()
    rectified = conditionally_rectified(features, mask)
    assert largest_difference(rectified.detach(), case.tensor(f"{name}_out")) <= MAPS
    (gradient,) = torch.autograd.grad(rectified, features, case.tensor("grad_top"))
    assert largest_difference(gradient, case.tensor(f"{name}_grad")) <= MAPS


@pytest.mark.golden("seenet_attention*.npz")
@pytest.mark.parametrize("flip", [True, False])
def test_maps_of_an_image(case: Case, imported: Imported, flip: bool):
    classes = case["labels"].tolist()
    parameters = SeenetCams(classifier="c", size=int(case["test_size"]), flip=flip)
    maps = seenet_class_maps(load_classifier(imported("seenet")), case["image_rgb"], classes, parameters).high_res
    assert isinstance(maps, Tensor) and len(maps) == len(classes)
    ending = "att_with_flip" if flip else "att"
    for class_index, found in zip(classes, maps, strict=True):
        assert largest_difference(found, case.tensor(f"label{class_index}_{ending}")) <= MAPS


@pytest.mark.golden("seenet_attention*.npz")
@torch.inference_mode()
def test_scores_and_erased_cells(case: Case, imported: Imported):
    network, classes = load_classifier(imported("seenet")), case["labels"].tolist()
    features = network.features(_network_input(case["image_rgb"], 2 * (int(case["test_size"]),)).float()[None])
    labels = torch.zeros(1, len(network.classes))
    for class_index in classes:  # the authors' labels are never cleared
        labels[:, class_index] = 1
        maps = network.branch_maps(features, labels, *THRESHOLDS["deploy"])
        prefix = f"label{class_index}"
        assert largest_difference(maps.first[0, class_index], case.tensor(f"{prefix}_score_b1")) <= MAPS
        assert largest_difference(maps.second[0, class_index], case.tensor(f"{prefix}_score_b2")) <= MAPS
        mask = ternary_mask(maps.seen, *THRESHOLDS["deploy"])
        assert counts(mask) == case[f"{prefix}_n_erased_reversed"].tolist()
    maps = network.branch_maps(features, labels, *THRESHOLDS["paper"])
    assert largest_difference(maps.first[0], case.tensor("paperthr_score_b1_all")) <= MAPS
    assert largest_difference(maps.second[0], case.tensor("paperthr_score_b2_all")) <= MAPS
    assert counts(ternary_mask(maps.seen, *THRESHOLDS["paper"])) == case["paperthr_counts"].tolist()
    logits = torch.cat([maps.first, maps.second]).mean(dim=(2, 3))
    assert largest_difference(logits, case.tensor("paperthr_logits")) <= MAPS
