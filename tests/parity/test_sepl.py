"""Pseudo labels joined with masks against SEPL's code: exact."""

import numpy as np
import pytest

from tests.parity.cases import Case
from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.sam_masks import segment_of
from wsss_core.refinement.joined_masks import join_masks

VARIANTS = {
    "max_iou": {"share_of_class": None, "keep_uncovered": False},
    "max_iou_imp": {"share_of_class": None},
    "max_iou_imp2": {},
}
"""The authors' merge rules by their names, as settings; the last is their default, and ours."""


@pytest.mark.golden("sepl_*.npz")
@pytest.mark.parametrize("variant", VARIANTS)
def test_joined_labels(case: Case, variant: str):
    options = case.json("options_json")
    shares = {key: options[key] for key in ("share_of_mask", "share_of_class")}
    settings = SamMasks(folder="masks", **{**shares, **VARIANTS[variant]})
    labels = np.where(case["label"] < options["classes"], case["label"], 255).astype(np.uint8)
    segments = [segment_of(mask.astype(bool)) for mask in case["masks"]]
    for order in (segments, segments[::-1]):
        np.testing.assert_array_equal(join_masks(labels, order, settings), case[variant])
