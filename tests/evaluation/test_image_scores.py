"""Measures of single images, held to counting pixel by pixel."""

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.evaluation.test_score import CLASSES, cams, write_map  # noqa: F401
from tests.oracles.plain_scores import plain_seed
from wsss_core.evaluation.confusion import confusion_matrix
from wsss_core.evaluation.image_scores import MEASURES, image_measures
from wsss_core.evaluation.score import score_cams, score_label_maps

LABELS = st.sampled_from([0, 1, 2, 3, 255])


def plain_measures(prediction, truth):
    """Of label maps (H, W) with classes 0 to 3: by measure, pixel by pixel."""
    pairs = [(int(p), int(t)) for p, t in zip(prediction.ravel(), truth.ravel(), strict=True) if t != 255]
    if not pairs:
        return dict.fromkeys(MEASURES, float("nan"))
    ious = []
    for value in {true for _, true in pairs}:
        both = sum(p == t == value for p, t in pairs)
        ious.append(both / sum(value in (p, t) for p, t in pairs))
    return {
        "miou": sum(ious) / len(ious),
        "over_activated": sum(t == 0 and p not in (0, 255) for p, t in pairs) / len(pairs),
        "under_activated": sum(t != 0 and p in (0, 255) for p, t in pairs) / len(pairs),
        "confused": sum(t != 0 and p not in (0, 255, t) for p, t in pairs) / len(pairs),
    }


@given(maps=arrays.arrays(np.uint8, (2, 3, 4), elements=LABELS))
def test_measures_are_those_of_counting(maps):
    prediction, truth = maps
    found = image_measures(confusion_matrix(prediction, truth, 3)[None])[0]
    assert dict(zip(MEASURES, found, strict=True)) == pytest.approx(plain_measures(prediction, truth), nan_ok=True)


def test_label_maps_the_worst_first(tmp_path):
    truth, found = [[0, 0, 1, 1]], {"right": [[0, 0, 1, 1]], "over": [[1, 0, 1, 1]], "none": [[255, 0, 0, 2]]}
    maps = {name: write_map(tmp_path / f"{name}.png", values) for name, values in found.items()}
    masks = {name: write_map(tmp_path / f"{name}.mask.png", truth) for name in maps}
    score_label_maps(maps, masks, CLASSES, tmp_path / "scores.csv", images_csv=tmp_path / "images.csv")
    table = pandas.read_csv(tmp_path / "images.csv").set_index("image_id")
    assert list(table.index) == ["none", "over", "right"]
    assert table.loc["over", ["over_activated", "under_activated", "confused"]].tolist() == [0.25, 0, 0]
    assert table.loc["none", ["over_activated", "under_activated", "confused"]].tolist() == [0, 0.25, 0.25]


def test_class_maps_at_the_best_threshold(cams, tmp_path):  # noqa: F811
    truths = {f"image{n}": np.random.default_rng(n).integers(0, 3, (6, 9)) for n in (0, 1)}
    masks = {image_id: write_map(tmp_path / f"{image_id}.png", truth) for image_id, truth in truths.items()}
    score_cams(cams, masks, tmp_path / "scores.csv", images_csv=tmp_path / "images.csv")
    scores = pandas.read_csv(tmp_path / "scores.csv")
    best = scores["threshold"][scores["miou"].idxmax()]
    table = pandas.read_csv(tmp_path / "images.csv").set_index("image_id")
    assert set(table["threshold"]) == {best} and set(table.index) == set(truths)
    for image_id, truth in truths.items():
        read = cams.read(image_id)
        expected = plain_measures(plain_seed(read.full_size(), read.classes, best), truth)
        assert table.loc[image_id, list(MEASURES)].to_dict() == pytest.approx(expected, abs=1e-6)
