"""Confident label maps of IRN and AdvCAM against the authors' code: exact."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.parity.cases import Case
from wsss_core.config.refinement import BackgroundScore
from wsss_core.refinement.confident_labels import IRN_CRF, confident_label_map_of_winners
from wsss_core.refinement.crf import DenseCrf, with_background


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
        labels = confident_label_map_of_winners(path, case["keys"], case["high_res"], foreground, background)
        np.testing.assert_array_equal(labels, case[f"{method}_ir_label"])


@pytest.mark.golden("ir_label_*.npz")
def test_each_crf(case: Case):
    field = DenseCrf(case["image"], len(case["keys"]) + 1, IRN_CRF)
    for method in methods(case):
        for threshold, kind in zip(case[f"thresholds_{method}"].tolist(), ("fg", "bg"), strict=True):
            winners = with_background(case["high_res"], BackgroundScore(threshold=threshold)).argmax(axis=0)
            np.testing.assert_array_equal(winners, case[f"{method}_argmax_{kind}"])
            refined = field.infer_from_labels(winners).argmax(axis=0)
            np.testing.assert_array_equal(refined, case[f"{method}_crf_{kind}"])
