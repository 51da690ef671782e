from pathlib import Path

import numpy as np
import pytest

from benchmarks.methods import METHODS
from benchmarks.refinement import STEPS, refinement_configuration, report, second_crf_counts, stronger_crfs
from wsss_core.config import load_config, read_yaml
from wsss_core.config.crf import Crf
from wsss_core.datasets.palette import write_label_map
from wsss_core.plan.plan import Plan

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


def test_every_method_goes_through_every_affinity_on_the_same_class_maps(tmp_path):
    plan = Plan(load_config(refinement_configuration(DEMO, 2, tmp_path)))
    for method in METHODS:
        first, second = (plan.experiments[f"{method}_{affinity}"] for affinity in ("affinitynet", "irn"))
        assert first["cams"] is second["cams"] and first["refined_seeds"] is second["refined_seeds"]
        assert first["affinity"].digest != second["affinity"].digest


def test_gains_are_paired_and_the_control_is_the_best_second_crf(tmp_path):
    config = refinement_configuration(DEMO, 1, tmp_path)
    base = {"seed": 50.0, "crf": 55.0, "affinitynet_walk": 54.0, "affinitynet": 57.0, "irn_walk": 58.0, "irn": 59.0}
    by_seed = {}
    for seed in (1, 3):
        scores = {method: {step: value + seed for step, value in base.items()} for method in METHODS}
        scores["cgnet"]["irn"] -= seed  # 59, over a CRF of 56 and 58: gains of 3 and 1
        controls = {method: {"heavier": 54.5 + seed, "longer": 30.0} for method in METHODS}
        by_seed[seed] = (scores, controls)
    text = report(by_seed, config)
    assert "| cam | 52.0 ± 1.4 | 57.0 ± 1.4 | 56.5 ± 1.4 |" in text
    assert "| cam | +5.0 ± 0.0, 2 of 2 | -0.5 ± 0.0, 0 of 2 | +2.0 ± 0.0, 2 of 2 | +4.0 ± 0.0, 2 of 2 |" in text
    assert "| +2.0 ± 1.4, 2 of 2 |" in text
    assert "heavier 56.5; longer 30.0" in text
    assert text.splitlines()[-1] == "gain=2.75 least=2.00 control=-0.50"
    assert text.count("| ") > len(STEPS)


def test_a_second_crf_mends_a_speck_and_is_scored(tmp_path):
    pytest.importorskip("pydensecrf")
    from PIL import Image

    image, labels, truth = np.zeros((24, 24, 3), np.uint8), np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
    image[:, 12:], labels[:, 12:], truth[:, 12:] = 255, 2, 2
    labels[4, 4] = 2
    Image.fromarray(image).save(tmp_path / "image.png")
    for name, map_ in (("labels", labels), ("truth", truth)):
        write_label_map(tmp_path / f"{name}.png", map_)
    files = [tuple(tmp_path / f"{name}.png" for name in ("image", "labels", "truth"))]
    for crf in stronger_crfs(Crf(certainty=0.7, unary="labels")).values():
        counts = second_crf_counts(files, 2, crf)
        assert counts.sum() == 24 * 24
    np.testing.assert_array_equal(
        second_crf_counts(files, 2, Crf(unary="labels", certainty=0.7))[:, :3], np.diag([288, 0, 288])
    )
