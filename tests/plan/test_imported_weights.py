import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.config.test_loading import small
from tests.config.test_transformers import BACKBONES
from wsss_core.config import load_config, read_yaml
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.networks.text_features import save_text_features
from wsss_core.networks.weights import save_weights
from wsss_core.plan.imported_weights import unfit_weights

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")
OPTIONS = {"atrous_rates": [1, 2, 4], "low_level_skip": True}
SMALL = describe_trunk(load_config(DEMO).backbones["small"])
FITTING = {"kind": "segmenter", "network": "deeplab", "options": OPTIONS, "trunk": SMALL}


def faults(path, section="segmenters", variant="deeplab", epochs=0):
    raw = copy.deepcopy(DEMO)
    raw[section][variant] |= {"weights": str(path)}
    raw[section][variant]["optimisation"] = {"epochs": epochs}
    return list(unfit_weights(load_config(raw)))


@pytest.mark.parametrize(
    ("description", "epochs", "fault"),
    [
        (FITTING, 0, None),
        ({**FITTING, "kind": "classifier"}, 0, "holds weights of a classifier, not of a segmenter"),
        (
            {**FITTING, "trunk": {"network": "vgg16"}},
            3,
            "has a trunk with network: vgg16, but backbones.small has resnet_",
        ),
        (
            {**FITTING, "trunk": {**SMALL, "pixels": "caffe"}},
            3,
            "has a trunk with pixels: caffe, but backbones.small has",
        ),
        (
            {**FITTING, "trunk": {**SMALL, "output_stride": 16}},
            0,
            "has a trunk with output_stride: 16, but backbones.sm",
        ),
        ({**FITTING, "trunk": {**SMALL, "output_stride": 16}}, 3, None),  # its weights fit
        ({**FITTING, "classes": ["cat"]}, 0, "is used as it is, and its classes is ['cat'], not ['"),
        ({**FITTING, "network": "largefov"}, 0, "is used as it is, and its network is largefov, not deeplab"),
        ({**FITTING, "network": "largefov"}, 3, None),  # its trunk is enough
        ({**FITTING, "options": {}}, 0, "and its options is {}, not"),
        ("no object", 0, "does not say which network its weights belong to; `python -m"),
    ],
)
def test_what_a_file_says_of_its_network(tmp_path, description, epochs, fault):
    path = tmp_path / "net.safetensors"
    save_weights(path, nn.Linear(1, 1), description)
    found = faults(path, epochs=epochs)
    if fault is None:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(f"segmenters.deeplab.weights: {path} ") and fault in found[0]


def test_missing_and_damaged_files(tmp_path):
    path = tmp_path / "net.safetensors"
    assert f"there is no file {path}; `python -m" in faults(path)[0]
    path.write_bytes(b"junk")
    assert f"{path} is damaged, or not a .safetensors file" in faults(path)[0]


@pytest.mark.parametrize(("section", "variant"), [("classifiers", "ordinary"), ("affinities", "affinitynet")])
def test_classifiers_and_affinities_too(tmp_path, section, variant):
    path = tmp_path / "net.safetensors"
    save_weights(path, nn.Linear(1, 1), {"kind": "irn"})
    (fault, *_) = faults(path, section, variant)
    assert fault.startswith(f"{section}.{variant}.weights: {path} holds weights of a irn, not of a")


def transformer_faults(**classifier):
    method = {"mctformer": "class_attention", "clip": "clip_gradcam"}[classifier["objective"]]
    cams = {"cam": {"method": method, "classifier": "mine"}}
    raw = small(backbones=BACKBONES, classifiers={"mine": {"backbone": "vit", **classifier}}, cams=cams)
    return list(unfit_weights(load_config(raw)))


@pytest.mark.parametrize(
    ("changed", "reported"),
    [
        ({}, None),
        ({"architecture": "class_maps"}, "its architecture is class_maps, not class_tokens (of mctformer)"),
        ({"options": {"input_size": 32}}, "its input_size is 32, not 64 ('augmentation.crop')"),
        ({"options": {"ranking_decay": 0.5}}, "its ranking_decay is 0.5, not 0.996 ('ranking_decay')"),
    ],
)
def test_mctformers_that_are_used_as_they_are(tmp_path, changed, reported):
    path = tmp_path / "net.safetensors"
    options = {"input_size": 64, "ranking_decay": 0.996}
    save_weights(path, nn.Linear(1, 1), {"kind": "classifier", "architecture": "class_tokens", "options": options,
                                         **changed})  # fmt: skip
    settings = {"optimisation": {"epochs": 0}, "augmentation": {"crop": 64}, "weights": str(path)}
    found = transformer_faults(objective="mctformer", **settings)
    expected = [] if reported is None else [f"classifiers.mine.weights: {path} is used as it is, and {reported}"]
    assert found == expected


@pytest.mark.parametrize(
    ("lengths", "reported"),
    [((8, 8), None), ((8, 5), "the length 8, the background's"), ((5, 5), "belong to another CLIP")],
)
def test_features_of_texts_have_the_towers_length(tmp_path, lengths, reported):
    tower, texts = tmp_path / "tower.safetensors", tmp_path / "texts.safetensors"
    save_weights(tower, nn.Linear(1, 1), {"kind": "clip", "embedding": 8})
    given = {"backbone": "vit", "weights": str(tower), "text_features": str(texts)}
    settings = ClipClassifier(**given)
    own, background = settings.texts(VOC_CLASSES), settings.background_texts()
    features = [torch.ones(len(some), length) for some, length in zip((own, background), lengths, strict=True)]
    save_text_features(texts, *features, own, background)
    found = transformer_faults(objective="clip", **given)
    assert len(found) == (reported is not None)
    assert all(fault.startswith("classifiers.mine.text_features: ") and reported in fault for fault in found)
