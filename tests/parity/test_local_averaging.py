"""PAR (AFA, ToCo) and PAMR (1-stage-wseg) against the authors' code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tests.parity.cases import Case
from wsss_core.config.averaging import Averaging, ClassThresholds, Pamr, Par
from wsss_core.config.background import BackgroundScore
from wsss_core.config.refinement import AffinityLabels
from wsss_core.refinement.class_thresholds import above_class_thresholds
from wsss_core.refinement.confident_labels import confident_label_map
from wsss_core.refinement.local_averaging import LocalAveraging

FLOAT32, FLOAT64 = 2e-5, 1e-8


def images_of(case: Case, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, 3, H, W), from 0 to 1."""
    return case.tensor("image").permute(0, 3, 1, 2).to(dtype) / 255


def averaging_of(case: Case) -> Averaging:
    options = case.json("options_json")
    common: dict[str, Any] = {key: options[key] for key in ("dilations", "iterations")}
    if "w1" in options:
        return Par(width=options["w1"], distance_weight=options["w2"], shrink=options["down_scale"], **common)
    return Pamr(**common)


def maps_of(case: Case) -> Tensor:
    return case.tensor("maps" if "maps" in case else "masks").float()


@pytest.mark.golden("par_*.npz", "pamr_*.npz")
def test_averaged_maps(case: Case):
    settings = averaging_of(case)
    averaged = LocalAveraging(images_of(case), settings)(maps_of(case))
    np.testing.assert_allclose(averaged, case["refined"], rtol=0, atol=FLOAT32)
    once = settings.model_copy(update={"iterations": 1})
    np.testing.assert_allclose(
        LocalAveraging(images_of(case), once)(maps_of(case)), case["refined_1"], rtol=0, atol=FLOAT32
    )
    in_float64 = LocalAveraging(images_of(case, torch.float64), settings)(maps_of(case).double())
    np.testing.assert_allclose(in_float64, case["f64_refined"], rtol=0, atol=FLOAT64)


@pytest.mark.golden("pamr_*.npz")
def test_pamr_at_the_size_of_the_maps(case: Case):
    maps = maps_of(case)
    small = F.interpolate(images_of(case), maps.shape[2:], mode="bilinear", align_corners=True)
    averaged = LocalAveraging(small, averaging_of(case))(maps)
    np.testing.assert_allclose(averaged, case["refined_at_mask_size"], rtol=0, atol=FLOAT32)


@pytest.mark.golden("pamr_*.npz")
@pytest.mark.parametrize("given", [True, False], ids=["their maps", "our maps"])
def test_labels_of_class_thresholds(case: Case, given: bool):
    options, maps, images = case.json("options_json"), maps_of(case), images_of(case)
    thresholds = ClassThresholds(
        objects=options["cutoff_top"], background=options["background_scale"], lowest=options["cutoff_low"]
    )
    small = F.interpolate(images, maps.shape[2:], mode="bilinear", align_corners=True)
    refined = case.tensor("refined_at_mask_size") if given else LocalAveraging(small, averaging_of(case))(maps)
    full = F.interpolate(refined, images.shape[2:], mode="bilinear", align_corners=True).numpy()
    for at, shown in enumerate(case["labels"].astype(bool)):
        present = np.flatnonzero([True, *shown])
        expected = case["pseudo_gt"][at].astype(bool)
        found = np.zeros_like(expected)
        found[present] = above_class_thresholds(full[at, present], thresholds)
        assert expected.any() and (found == expected).all(axis=0).mean() >= (1 if given else 0.999)


@pytest.mark.golden("par_*.npz")
@pytest.mark.parametrize("name", ["label", "plain_label"])
def test_confident_labels(case: Case, name: str, tmp_path: Path):
    options, path = case.json("options_json"), tmp_path / "image.png"
    refinement = {"par": averaging_of(case)} if name == "label" else {"crf": None}
    settings = AffinityLabels(
        foreground=BackgroundScore(threshold=options["high"]),
        background=BackgroundScore(threshold=options["low"]),
        conflicts="object",
        **refinement,
    )
    for at, image in enumerate(case["image"]):
        Image.fromarray(image).save(path)
        classes = np.flatnonzero(case["cls_labels"][at])
        top, bottom, left, right = case["img_box"][at]
        labels = np.full(image.shape[:2], options["ignore"], dtype=np.uint8)
        found = confident_label_map(path, classes, case["cams"][at, classes].astype(np.float32), settings)
        labels[top:bottom, left:right] = found[top:bottom, left:right]
        assert (labels == case[name][at]).mean() >= 0.999
