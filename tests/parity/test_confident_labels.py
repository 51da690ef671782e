"""Confident label maps of IRN and AdvCAM against the authors' code: exact."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.parity.cases import Case
from wsss_core.config.background import BackgroundScore
from wsss_core.config.refinement import Irn
from wsss_core.refinement.confident_labels import confident_label_map
from wsss_core.refinement.crf import DenseCrf, with_background

IRN_LABELS = Irn(backbone="resnet50", labels={"crf": {"long_side": None}}).labels
"""Widths do not follow the image's size in the authors' code."""


def methods(case: Case) -> list[str]:
    """Those whose thresholds a case holds."""
    return [name.removeprefix("thresholds_") for name in case if name.startswith("thresholds_")]


@pytest.mark.golden("ir_label_*.npz")
def test_confident_label_maps(case: Case, tmp_path: Path):
    path = tmp_path / "image.png"
    Image.fromarray(case["image"]).save(path)
    assert methods(case)
    for method in methods(case):
        foreground, background = case[f"thresholds_{method}"].tolist()
        scores = {
            "foreground": BackgroundScore(threshold=foreground),
            "background": BackgroundScore(threshold=background),
        }
        if method == "irn":
            assert IRN_LABELS.model_copy(update=scores) == IRN_LABELS, "the defaults are IRN's"
        settings = IRN_LABELS.model_copy(update=scores)
        labels = confident_label_map(path, case["keys"], case["high_res"], settings)
        np.testing.assert_array_equal(labels, case[f"{method}_ir_label"])


@pytest.mark.golden("ir_label_*.npz")
def test_each_crf(case: Case):
    field = DenseCrf(case["image"], len(case["keys"]) + 1, IRN_LABELS.crf)
    for method in methods(case):
        for threshold, kind in zip(case[f"thresholds_{method}"].tolist(), ("fg", "bg"), strict=True):
            scores = with_background(case["high_res"], BackgroundScore(threshold=threshold))
            np.testing.assert_array_equal(scores.argmax(axis=0), case[f"{method}_argmax_{kind}"])
            np.testing.assert_array_equal(field.infer(scores).argmax(axis=0), case[f"{method}_crf_{kind}"])
