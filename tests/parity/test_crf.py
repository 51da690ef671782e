"""The dense CRF's uses against the authors' code; tolerances of ``tests/golden/README.md``."""

import re

import numpy as np
import pytest

from tests.parity.cases import Case
from wsss_core.config.background import BackgroundScore
from wsss_core.config.crf import Crf
from wsss_core.config.refinement import Irn
from wsss_core.config.segmentation import Prediction
from wsss_core.refinement.crf import DenseCrf, dense_crf, refine, with_background

IN_PIXELS = {"long_side": None}
"""Widths do not follow the image's size in the authors' code."""
IRN_CRF = Irn(backbone="resnet50").labels.crf.model_copy(update=IN_PIXELS)
DEEPLAB_CRF = Prediction().crf.model_copy(update=IN_PIXELS)


def matches(case: Case, pattern: str) -> list[re.Match[str]]:
    """The names of a case's fields that match; there is one at least."""
    found = [match for name in case if (match := re.fullmatch(pattern, name))]
    assert found
    return found


@pytest.mark.golden("crf*.npz")
def test_background_next_to_class_maps(case: Case):
    for match in matches(case, r"alpha(\d+)_scores"):
        scores = with_background(case["cams"], BackgroundScore(alpha=float(match[1])))
        np.testing.assert_allclose(scores, case[match[0]], rtol=1e-6, atol=1e-30)  # powers differ by a bit


@pytest.mark.golden("crf*.npz")
def test_crf_of_scores(case: Case):
    for match in matches(case, r"(alpha\d+)_q(?:_t(\d+)|_(if_normalised))?"):
        scores, iterations = case[f"{match[1]}_scores"], int(match[2] or 10)
        if match[3]:
            scores = scores / scores.sum(axis=0, keepdims=True)
        probabilities = dense_crf(case["image"], scores, Crf(iterations=iterations, **IN_PIXELS))
        np.testing.assert_array_equal(probabilities, case[match[0]], err_msg=match[0])


@pytest.mark.golden("crf*.npz")
def test_labels_from_class_maps(case: Case):
    for match in matches(case, r"alpha(\d+)_argmax"):
        labels = refine(case["image"], case["cams"], BackgroundScore(alpha=float(match[1])), Crf(**IN_PIXELS))
        np.testing.assert_array_equal(labels, case[match[0]])


@pytest.mark.golden("crf*.npz")
def test_crf_of_labels(case: Case):
    number = len(case["irn_label_q"])
    unary = [-np.log(IRN_CRF.certainty), -np.log((1 - IRN_CRF.certainty) / (number - 1))]
    np.testing.assert_array_equal(np.float32(unary), case["irn_unary_values"])
    probabilities = DenseCrf(case["image"], number, IRN_CRF).infer_from_labels(case["irn_label_in"])
    np.testing.assert_array_equal(probabilities, case["irn_label_q"])
    np.testing.assert_array_equal(probabilities.argmax(axis=0), case["irn_label_out"])


@pytest.mark.golden("crf*.npz")
def test_crf_of_the_segmenter(case: Case):
    blue_first = np.ascontiguousarray(case["image"][..., ::-1])
    probabilities = dense_crf(blue_first, case["deeplab_probs"], DEEPLAB_CRF)
    np.testing.assert_array_equal(probabilities, case["deeplab_q_bgr"])
