import copy
from pathlib import Path

import pytest
from torch import nn

from wsss_core.config import load_config, read_yaml
from wsss_core.networks.weights import describe_further, save_weights
from wsss_core.plan import Plan
from wsss_core.score_conditions import fill_in, score_conditions, threshold_files

DEMO = read_yaml(Path(__file__).parents[1] / "config.yaml")


def stages_with(background=None, threshold=0.28, refined=None):
    raw = copy.deepcopy(DEMO)
    raw["cams"]["cam"]["threshold"] = threshold
    affinity = raw["affinities"]["affinitynet"]
    if background:
        affinity["pseudo_labels"]["background"] = background
    if refined:
        affinity["labels"]["refined_seed"] = refined
    raw["experiments"] = {"cam": raw["experiments"]["cam"]}
    return Plan(load_config(raw)).experiments["cam"]


@pytest.mark.parametrize(
    ("background", "threshold", "words"),
    [
        ({"threshold": 0.25}, 0.28, "0.25 (fixed)"),
        ({"threshold": {"best_on": "train"}}, 0.28, "{threshold} (best on train: an oracle)"),
        (
            {"threshold": {"best_on": "subset", "subset": "a.txt"}},
            0.28,
            "{threshold} (best on the images of a.txt)",
        ),
        ({"alpha": 4}, 0.28, "(1 - max)^4"),
        ({"walked_alpha": 16}, 0.28, "(1 - max)^16, walked along"),
        ({"times_seed_threshold": 1.5}, 0.28, "0.42 = 1.5 x the seed's 0.28 (fixed)"),
        (
            {"times_seed_threshold": 1.5},
            {"best_on": "train"},
            "{1.5 x threshold} 1.5 x the seed's {threshold} (best on train: an oracle)",
        ),
        ({"times_seed_threshold": 1}, {"best_on": "train"}, "the seed's {threshold} (best on train: an oracle)"),
    ],
)
def test_the_background_is_told_in_words(background, threshold, words):
    artifact = stages_with(background, threshold)["pseudo_labels"]
    assert score_conditions(artifact) == {"background": words, "crf": "yes", "without_label": "none"}
    assert bool(threshold_files(artifact)) == ("{threshold}" in words)


@pytest.mark.parametrize(
    ("threshold", "words"),
    [(0.41, "0.27 = 0.65 x the seed's 0.41 (x)"), (0.01, "0.01 = 0.65 x the seed's 0.01 (x)")],
)
def test_a_chosen_threshold_and_its_multiple_are_filled_in(threshold, words):
    assert fill_in("{0.65 x threshold} 0.65 x the seed's {threshold} (x)", threshold) == words
    assert fill_in("{5 x threshold} 5 x {threshold}", 0.5) == "0.99 instead of 5 x 0.50"
    assert fill_in("0.25 (best on {a}.txt)", threshold) == "0.25 (best on {a}.txt)"


def test_refined_seeds_and_predictions():
    stages = stages_with(refined={"alpha": 6})
    refined = score_conditions(stages["refined_seeds"])
    assert refined == {"background": "(1 - max)^6", "crf": "yes"}
    assert score_conditions(stages["predictions"]) == {
        "initialisation": "the pretext set, classifier 'ordinary'",
        "seen_at": "scales 1 and mirrored",
        "crf": "yes",
    }
    stages = stages_with(refined={"times_seed_threshold": 1})
    assert score_conditions(stages["refined_seeds"])["background"] == "the seed's 0.28 (fixed)"


def initialisation(segmenter, backbone):
    raw = copy.deepcopy(DEMO)
    raw["backbones"] = {"trunk": {"network": "resnet101", "output_stride": 8, **backbone}}
    raw["segmenters"] = {"deeplab": {"network": "deeplabv2", **segmenter}}
    raw["experiments"] = {"full": {"labels": "masks", "segmenter": "deeplab"}}
    raw["classifiers"] = {"imported": {"objective": "ordinary", "backbone": "trunk", "weights": "cam.safetensors"}}
    raw["cams"], raw["affinities"] = {}, {}
    return score_conditions(Plan(load_config(raw)).experiments["full"]["predictions"])["initialisation"]


def test_the_initialisation_is_told(tmp_path):
    """Not least COCO, which changes what a score can be compared with."""
    file, silent = str(tmp_path / "coco.safetensors"), str(tmp_path / "silent.safetensors")
    save_weights(file, nn.Linear(1, 1), {"kind": "backbone"})
    describe_further(file, trained_on="ImageNet, COCO")
    save_weights(silent, nn.Linear(1, 1), {"kind": "backbone"})
    from_backbone = {"backbone": "trunk"}
    assert initialisation(from_backbone, {}) == "ImageNet (torchvision)"
    assert initialisation(from_backbone, {"weights": "scratch"}) == "random weights"
    assert initialisation(from_backbone, {"weights": file}) == f"ImageNet, COCO ({file})"
    assert initialisation(from_backbone, {"weights": silent}) == f"nobody says what ({silent})"
    assert initialisation({"classifier": "imported"}, {}) == (
        "nobody says what (cam.safetensors), classifier 'imported'"
    )
    assert initialisation({**from_backbone, "weights": file}, {}) == f"ImageNet, COCO ({file})"
