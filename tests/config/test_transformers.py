"""Which methods go together with vision transformers and with CLIP, and what is said of those that do not."""

import itertools

import pytest

from tests.config.test_loading import faults_of, small
from wsss_core.config import ConfigError, load_config
from wsss_core.config.training import Cosine

BACKBONES = {
    "trunk": {"network": "resnet50"},
    "vit": {"network": "timm", "model": "test_vit", "weights": "scratch"},
}
OBJECTIVES = {
    "ordinary": {},
    "seenet": {},
    "cgnet": {"ordinary": "plain"},
    "aeft": {},
    "mctformer": {},
    "clip": {"weights": "weights/clip.safetensors", "text_features": "weights/texts.safetensors"},
}
METHODS = ("multiscale", "advcam", "seenet", "class_attention", "clip_gradcam")
ONLY_OF = {"seenet": "seenet", "class_attention": "mctformer", "clip_gradcam": "clip"}
ONLY_METHOD = {"clip": "clip_gradcam"}
OF_TOKENS = ("mctformer", "clip")


def faults(**sections):
    try:
        load_config(small(**sections))
    except ConfigError as error:
        return error.faults
    return []


def with_classifier(objective: str, backbone: str, **cams):
    classifiers = {
        "plain": {"objective": "ordinary", "backbone": backbone},
        "mine": {"objective": objective, "backbone": backbone, **OBJECTIVES[objective]},
    }
    chosen = {"cam": {"classifier": "mine", "method": "multiscale", **cams}}
    return {"backbones": BACKBONES, "classifiers": classifiers, "cams": chosen}


@pytest.mark.parametrize(("objective", "method", "backbone"), itertools.product(OBJECTIVES, METHODS, BACKBONES))
def test_each_pair_is_right_or_refused_in_a_sentence(objective, method, backbone):
    found = faults(**with_classifier(objective, backbone, method=method))
    needed = ONLY_OF.get(method, objective)
    expected = []
    if objective in OF_TOKENS and backbone == "trunk":
        expected.append(f"classifiers.mine.backbone: objective {objective} needs a vision transformer")
    if objective != needed:
        expected.append(f"cams.cam.classifier: method {method} needs a classifier with objective '{needed}'")
    elif objective == "clip" and method != "clip_gradcam":
        expected.append("cams.cam.method: 'mine' has objective 'clip', which has no class maps of its own")
    assert len(found) == len(expected), found
    assert all(fault.startswith(start) for fault, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("method", ["multiscale", "advcam"])
def test_tokens_are_not_computed_in_bfloat16(method):
    (fault,) = faults(**with_classifier("mctformer", "vit", method=method, arithmetic="bfloat16"))
    assert fault.startswith("cams.cam.arithmetic: bfloat16 is not for a classifier with objective 'mctformer'")
    (fault,) = faults(**with_classifier("mctformer", "vit", method="class_attention", arithmetic="bfloat16"))
    assert fault.startswith("cams.cam.arithmetic: must be one of 'float32', 'float64'") or "float64" in fault


def test_crops_of_whole_patches():
    sections = with_classifier("mctformer", "vit")
    sections["classifiers"]["mine"]["augmentation"] = {"crop": 40}
    (fault,) = faults(**sections)
    expected = "classifiers.mine.augmentation.crop: 40 pixels are not a multiple of the patches of 'vit', 16 pixels"
    assert fault.startswith(expected)


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({}, "give exactly one of 'backbone' and 'classifier' (whose attention is used)"),
        ({"backbone": "vit", "classifier": "plain"}, "give at most one of 'backbone' and 'classifier'"),
        ({"backbone": "vit"}, "'vit' has weights: scratch, and nothing is trained here; give a 'classifier', or the"),
        ({"backbone": "trunk"}, "method attention looks at a vision transformer's patches, and backbones.trunk is a"),
        (
            {"backbone": "vit", "pseudo_labels": {"background": {"walked_alpha": 2}}},
            "'pseudo_labels.background.walked_alpha' needs a random walk; 'alpha' does not",
        ),
        (
            {"backbone": "vit", "pseudo_labels": {"background": {"walked_alpha": 2}, "divided": False}},
            "'divided' is not for 'background.walked_alpha'",
        ),
    ],
)
def test_attention_is_of_one_transformer(settings, reported):
    sections = with_classifier("ordinary", "vit")
    (fault,) = faults(**sections, affinities={"a": {"method": "attention", **settings}})
    assert fault.startswith("affinities.a") and reported in fault


def test_clip_is_not_trained_and_has_known_classes():
    sections = with_classifier("clip", "vit", method="clip_gradcam")
    sections["classifiers"]["mine"]["optimisation"] = {"epochs": 1}
    (fault,) = faults(**sections)
    assert fault == "classifiers.mine: 'optimisation.epochs' must be 0: objective clip has nothing to train"
    sections = with_classifier("clip", "vit", method="clip_gradcam")
    sections["classifiers"]["mine"]["descriptions"] = {"brid": "bird avian"}
    (fault,) = faults(**sections)
    assert fault.startswith("classifiers.mine.descriptions: the data set has no class 'brid'; it has aeroplane")
    sections["classifiers"]["mine"] |= {"descriptions": {}, "template": "no place"}
    assert faults(**sections)[0].startswith("classifiers.mine.template")


def test_a_decay_by_cosine_has_no_other_next_to_it():
    for key, value in {"power": 1.0, "milestones": [0.5], "warmup_steps": 3, "decay_every": 2}.items():
        classifier = {"objective": "mctformer", "backbone": "vit", "optimisation": {key: value}}
        (fault,) = faults_of(backbones=BACKBONES, classifiers={"ordinary": classifier})
        assert f"'{key}' belongs to another decay, which 'cosine' replaces" in fault


@pytest.mark.parametrize(
    ("cosine", "epochs", "refused"), [({}, 6, True), ({}, 7, False), ({"warmup_epochs": 0}, 1, False)]
)
def test_a_warm_up_is_over_before_the_last_epoch(cosine, epochs, refused):
    sections = with_classifier("mctformer", "vit")
    sections["classifiers"]["mine"]["optimisation"] = {"epochs": epochs, "cosine": cosine}
    found = faults(**sections)
    assert len(found) == refused
    assert all("'cosine.warmup_epochs: 5' needs at least 7 epochs" in fault for fault in found)
    given = Cosine(**cosine)
    rates = [given.rate(epoch, epochs, 0.5) for epoch in range(epochs)]
    assert (rates[-1] == max(rates) and epochs > 1) == refused  # it still rises


@pytest.mark.parametrize(("method", "refused"), [("none", False), ("attention", True)])
def test_a_threshold_is_chosen_on_the_maps_of_the_labels(method, refused):
    labels = {"background": {"threshold": {"best_on": "train"}}, "divided": False}
    sections = with_classifier("ordinary", "vit")
    given = {"method": "none"} if method == "none" else {"method": method, "classifier": "plain"}
    found = faults(**sections, affinities={"a": {**given, "pseudo_labels": labels}})
    assert len(found) == refused
    assert all("'pseudo_labels.divided: false' needs a fixed 'background.threshold'" in fault for fault in found)


@pytest.mark.parametrize(
    ("objective", "settings", "reported"),
    [
        ("clip", {"augmentation": {"crop": 64}}, "'augmentation' is for training, and objective clip has nothing"),
        ("clip", {"optimisation": {"epochs": 0, "learning_rate": 3}}, "'optimisation.learning_rate' is for training"),
        ("clip", {"background": ["sky", "sea", "sky"]}, "'background' has 'sky' twice"),
        ("clip", {"background": ["sky", "cat"]}, "background: 'cat' is a class of the data set"),
        ("mctformer", {"contrast_weight": 0, "contrast_layers": 3}, "'contrast_layers' belongs to a 'contrast_weight'"),
    ],
)
def test_classifiers_settings_that_would_do_nothing(objective, settings, reported):
    sections = with_classifier(objective, "vit", method=ONLY_METHOD.get(objective, "multiscale"))
    sections["classifiers"]["mine"] |= settings
    (fault,) = faults(**sections)
    assert fault.startswith("classifiers.mine") and reported in fault


def test_layers_of_evidence_that_has_none():
    sections = with_classifier("mctformer", "vit", method="class_attention", evidence="patches", layers=3)
    (fault,) = faults(**sections)
    assert fault.startswith("cams.cam") and "'layers' is for the class tokens' attention" in fault


@pytest.mark.parametrize(
    ("labels", "reported"),
    [
        ({"background": {"alpha": 1}, "sam_masks": {"folder": "m", "keep_ignored": True}}, "is for 'unsure_below'"),
        ({"background": {"saliency": {}}, "divided": False}, "'divided: false' is not for 'background.saliency'"),
    ],
)
def test_labels_settings_that_would_do_nothing(labels, reported):
    sections = with_classifier("ordinary", "vit")
    (fault,) = faults(**sections, affinities={"a": {"method": "none", "pseudo_labels": labels}})
    assert fault.startswith("affinities.a") and reported in fault
