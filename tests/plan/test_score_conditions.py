import copy
from pathlib import Path

import pytest
from torch import nn

from wsss_core.config import load_config, read_yaml
from wsss_core.networks.weights import describe_further, save_weights
from wsss_core.plan.background_in_words import fill_in
from wsss_core.plan.plan import Plan
from wsss_core.plan.score_conditions import labels_in_words, score_conditions, subset_conditions, threshold_files

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


ORDINARY = "the pretext set, classifier 'ordinary'"


def stages_with(background=None, threshold=0.28, refined=None):
    raw = copy.deepcopy(DEMO)
    raw["cams"]["cam"]["threshold"] = threshold
    affinity = raw["affinities"]["irn"]
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
        (
            {"threshold": {"rule": "mean_and_deviation"}},
            0.28,
            "{threshold} (by the maps' mean and deviation, no mask used)",
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
def test_the_background_is_reported_in_words(background, threshold, words):
    artifact = stages_with(background, threshold)["pseudo_labels"]
    assert score_conditions(artifact) == {
        "split": "train",
        "background": words,
        "seen_at": "scales 1 1.5 and mirrored",
        "crf": "yes",
        "without_label": "none",
        "labels": "image labels",
        "initialisation": f"{ORDINARY}; affinity: {ORDINARY}",
    }
    assert bool(threshold_files(artifact)) == ("{threshold}" in words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"unsure_below": 0.6}, "below 0.6"),
        ({"pamr": {}}, "none"),
        ({"pamr": {"class_thresholds": {"objects": 0.5}}}, "no class, or several, above 0.5 of their highest score"),
    ],
)
def test_pixels_without_label_are_reported(settings, words):
    raw = copy.deepcopy(DEMO)
    raw["affinities"]["irn"]["pseudo_labels"] |= {"crf": None, **settings}
    raw["experiments"] = {"cam": raw["experiments"]["cam"]}
    artifact = Plan(load_config(raw)).experiments["cam"]["pseudo_labels"]
    assert score_conditions(artifact)["without_label"] == words


@pytest.mark.parametrize(
    ("threshold", "words"),
    [(0.41, "0.27 = 0.65 x the seed's 0.41 (x)"), (0.01, "0.01 = 0.65 x the seed's 0.01 (x)")],
)
def test_a_chosen_threshold_and_its_multiple_are_filled_in(threshold, words):
    assert fill_in("{0.65 x threshold} 0.65 x the seed's {threshold} (x)", threshold) == words
    assert fill_in("{5 x threshold} 5 x {threshold}", 0.5) == "0.99 instead of 5 x 0.50"
    assert fill_in("0.25 (best on {a}.txt)", threshold) == "0.25 (best on {a}.txt)"


COMMON = {"split": "train", "seen_at": "scales 1 1.5 and mirrored", "labels": "image labels"}


def test_class_maps_are_scored_at_every_threshold():
    stages = stages_with({"walked_alpha": 16})
    of_cams = {**COMMON, "background": "the row's threshold", "crf": "no", "initialisation": ORDINARY}
    assert score_conditions(stages["cams"]) == of_cams
    walked = {**of_cams, "background": "(1 - max)^16, walked along"}
    walked["initialisation"] += f"; affinity: {ORDINARY}"
    assert score_conditions(stages["walked_cams"]) == walked
    assert score_conditions(stages_with()["walked_cams"])["background"] == "the row's threshold"


def test_refined_seeds():
    stages = stages_with(refined={"alpha": 6})
    refined = {**COMMON, "background": "(1 - max)^6", "crf": "yes", "initialisation": ORDINARY}
    assert score_conditions(stages["refined_seeds"]) == refined
    stages = stages_with(refined={"times_seed_threshold": 1})
    assert score_conditions(stages["refined_seeds"])["background"] == "the seed's 0.28 (fixed)"


def test_predictions_say_what_their_network_was_trained_on():
    predictions = stages_with()["predictions"]
    assert score_conditions(predictions) == {
        "split": "val",
        "background": "its labels': 0.18 = 0.65 x the seed's 0.28 (fixed)",
        "seen_at": "scales 1 and mirrored",
        "crf": "yes",
        "labels": "pseudo labels cam-irn",
        "initialisation": ORDINARY,
    }
    assert threshold_files(predictions) == []
    full = score_conditions(plan_of()["full"]["predictions"])
    assert full["labels"] == "masks" and full["background"] == "learned"


def test_an_oracle_behind_the_labels_is_reported_of_predictions_too():
    stages = stages_with(threshold={"best_on": "train"})
    words = score_conditions(stages["predictions"])["background"]
    assert words == "its labels': {0.65 x threshold} 0.65 x the seed's {threshold} (best on train: an oracle)"
    assert threshold_files(stages["predictions"]) == [stages["seed_threshold"].path("threshold.json")]


def test_the_scores_of_a_list_say_so():
    stages = stages_with(threshold={"best_on": "subset", "subset": "a.txt"})
    assert subset_conditions(stages["seed_threshold"]) == {
        **score_conditions(stages["cams"]),
        "split": "the images of a.txt",
    }


def test_shrunken_images_are_reported():
    raw = copy.deepcopy(DEMO)
    raw["dataset"]["long_side"] = 64
    raw["cams"]["cam"]["threshold"] = {"best_on": "subset", "subset": "a.txt"}
    stages = Plan(load_config(raw)).experiments["cam"]
    assert score_conditions(stages["cams"])["split"] == "train, images shrunk to 64 pixels"
    assert score_conditions(stages["predictions"])["split"] == "val, images shrunk to 64 pixels"
    assert subset_conditions(stages["seed_threshold"])["split"] == "the images of a.txt, images shrunk to 64 pixels"


def plan_of(change=lambda raw: None):
    raw = copy.deepcopy(DEMO)
    change(raw)
    return Plan(load_config(raw)).experiments


def test_lists_scales_and_sizes_are_reported():
    def change(raw):
        raw["dataset"] = {"name": "mine", "root": "mine", "splits": {"train": "train_aug"}}
        raw["cams"]["seenet"]["size"] = 256
        raw["segmenters"]["deeplab"] = {"network": "deeplabv2", "backbone": "small"}

    experiments = plan_of(change)
    seenet = score_conditions(experiments["seenet"]["cams"])
    assert seenet["split"] == "train (train_aug.txt)"
    scored = score_conditions(experiments["seenet"]["cams"], "train")
    assert scored == {**seenet, "split": "the images of train.txt"}
    assert seenet["seen_at"] == "256 x 256 pixels, scales 1 1.5 and mirrored"
    assert score_conditions(experiments["advcam"]["cams"])["seen_at"] == "scales 1 1.5 and mirrored"
    predictions = score_conditions(experiments["full"]["predictions"])
    assert predictions["split"] == "val" and predictions["seen_at"] == "scales 1, the network adds 0.5 0.75"


WEAK, MASKS = DEMO["experiments"]["cam"], {"labels": "masks", "segmenter": "deeplab"}
IMPORTED = {"weights": "mine.safetensors", "optimisation": {"epochs": 0}}
MIXED = {"file": "a.txt", "share": 0.5, "pseudo_weight": 0.2}


@pytest.mark.parametrize(
    ("experiment", "segmenter", "short", "long"),
    [
        (WEAK, {}, "pseudo", "pseudo labels cam-irn"),
        (
            WEAK,
            {"consistency": {"weight": 9}},
            "pseudo",
            "pseudo labels cam-irn (0.4 in the auxiliary decoders); cross-consistency (weight 9)",
        ),
        (
            WEAK,
            {"consistency": {"pseudo_weight": 0}},
            "pseudo",
            "pseudo labels cam-irn; cross-consistency (weight 30)",
        ),
        (MASKS, {}, "masks", "masks"),
        (
            {**WEAK, "masks_of": "a.txt"},
            {},
            "masks of a.txt, pseudo",
            "masks of a.txt (weight 1), pseudo labels cam-irn (weight 1)",
        ),
        (
            {**WEAK, "masks_of": MIXED},
            {"consistency": {}},
            "masks of a.txt, pseudo",
            "masks of a.txt (weight 1, 0.5 of each step), pseudo labels cam-irn (weight 0.2, 0.4 in the auxiliary "
            "decoders); cross-consistency (weight 30)",
        ),
        (
            {**WEAK, "masks_of": {"folder": "mended"}},
            {},
            "corrected masks of mended, pseudo",
            "corrected masks of mended (weight 1), pseudo labels cam-irn (weight 1)",
        ),
        ({**MASKS, "masks_of": "a.txt"}, {}, "masks of a.txt", "masks of a.txt"),
        (
            {**MASKS, "masks_of": "a.txt"},
            {"consistency": {}},
            "masks of a.txt, others without label",
            "masks of a.txt, others without label; cross-consistency (weight 30)",
        ),
        (WEAK, IMPORTED, "not trained here", "not trained here"),
        (MASKS, IMPORTED, "not trained here", "not trained here"),
    ],
)
def test_the_labels_used_are_reported_in_words(experiment, segmenter, short, long):
    raw = copy.deepcopy(DEMO)
    raw["segmenters"]["deeplab"] |= segmenter
    raw["experiments"] = {"it": experiment}
    config = load_config(raw)
    stages = Plan(config).experiments["it"]
    assert labels_in_words(config.experiments["it"], stages["segmenter"]) == short
    assert score_conditions(stages["predictions"])["labels"] == long


def initialisation(segmenter, backbone):
    raw = copy.deepcopy(DEMO)
    raw["backbones"] = {"trunk": {"network": "resnet101", "output_stride": 8, **backbone}}
    raw["segmenters"] = {"deeplab": {"network": "deeplabv2", **segmenter}}
    raw["experiments"] = {"full": {"labels": "masks", "segmenter": "deeplab"}}
    raw["classifiers"] = {"imported": {"objective": "ordinary", "backbone": "trunk", "weights": "cam.safetensors"}}
    raw["cams"], raw["affinities"] = {}, {}
    return score_conditions(Plan(load_config(raw)).experiments["full"]["predictions"])["initialisation"]


def test_the_initialisation_is_reported(tmp_path):
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


@pytest.mark.parametrize(
    ("dataset", "scored"),
    [
        ({"splits": {"train": "train_aug"}}, "train"),
        ({"splits": {"train": "train_aug"}, "score_on": "train_aug"}, None),
        ({"splits": {"train": "train_aug"}, "score_on": "few"}, "few"),
        ({}, None),
        ({"score_on": "few"}, "few"),
        ({"format": "folder", "score_on": "few.txt"}, "few.txt"),
    ],
)
def test_which_training_images_are_scored(dataset, scored):
    """VOC's published figures are of its 1,464 images, whatever was trained on."""
    raw = {**copy.deepcopy(DEMO), "dataset": {"name": "mine", "root": "mine", **dataset}}
    assert load_config(raw).dataset.scored_list == scored


def test_which_validation_images_are_scored_is_reported_and_changes_nothing_that_is_made():
    def planned(**dataset):
        raw = copy.deepcopy(DEMO)
        raw["dataset"] = {"format": "coco", "name": "coco14", "root": "data/coco", **dataset}
        plan = Plan(config := load_config(raw))
        predictions = plan.experiments["cam"]["predictions"]
        return predictions, score_conditions(predictions, None, config.dataset.scored_val)["split"]

    (some, reported), (every, usual) = planned(score_val="with_objects"), planned()
    assert some.digest == every.digest
    assert (reported, usual) == ("val (instances_val2014.json), images with objects", "val (instances_val2014.json)")


def test_what_is_scored_decides_an_oracles_threshold_and_nothing_else():
    def change(raw, **dataset):
        raw["dataset"] = {"name": "mine", "root": "mine", **dataset}
        raw["cams"]["cam"]["threshold"] = {"best_on": "train"}

    some, every = (plan_of(lambda raw, d=d: change(raw, **d))["cam"] for d in ({"score_on": "few"}, {}))
    assert some["cams"].digest == every["cams"].digest
    assert some["seed_threshold"].digest != every["seed_threshold"].digest


@pytest.mark.parametrize(("weight", "counted"), [(1, ""), (2.5, ", which counts 2.5 times")])
def test_labels_that_saliency_maps_were_used_for_say_so(weight, counted):
    raw = copy.deepcopy(DEMO)
    raw["dataset"]["saliency"] = "maps"
    raw["affinities"]["irn"]["pseudo_labels"]["background"] = {"saliency": {"attention_weight": weight}}
    stages = Plan(load_config(raw)).experiments["cam"]
    reported = score_conditions(stages["pseudo_labels"])
    words = f"1 - saliency; a class has the harmonic mean of saliency and its map{counted}"
    assert reported["background"] == words and reported["labels"] == "image labels, saliency maps"
    assert score_conditions(stages["walked_cams"])["labels"] == "image labels"
    predicted = score_conditions(stages["predictions"])
    assert predicted["background"] == f"its labels': {words}"
    assert predicted["labels"] == f"pseudo labels {stages['pseudo_labels'].variant}, saliency maps"


@pytest.mark.parametrize(("source", "words"), [(None, ", fc6 and fc7 too"), ("random", "")])
def test_largefov_says_that_its_layers_start_from_vgg16s(source, words):
    raw = copy.deepcopy(DEMO)
    raw["backbones"]["vgg"] = {"network": "vgg16", "output_stride": 8, "dilated": True}
    raw["segmenters"]["largefov"] = {"network": "largefov", "backbone": "vgg", "fully_connected": source}
    raw["experiments"] = {"full": {"labels": "masks", "segmenter": "largefov"}}
    predictions = Plan(load_config(raw)).experiments["full"]["predictions"]
    assert score_conditions(predictions)["initialisation"] == f"ImageNet (torchvision){words}"
