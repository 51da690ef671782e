"""Paths of the configuration: the home folder is meant by ``~``, and what is no path is reported with its key."""

from pathlib import Path
from typing import get_args

import pytest

from wsss_core.config import ConfigError, load_config
from wsss_core.config.paths import written_out

from .test_loading import CAM, ORDINARY, small
from .test_numbers import settings_classes

KEYS = {
    "dataset.root": lambda path: {"dataset": {"root": path}},
    "dataset.sbd": lambda path: {"dataset": {"root": "data", "sbd": path}},
    "dataset.saliency": lambda path: {"dataset": {"root": "data", "saliency": path}},
    "dataset.score_on": lambda path: {"dataset": {"root": "data", "score_on": path}},
    "dataset.stuff_masks": lambda path: {"dataset": {"format": "coco", "root": "data", "stuff_masks": path}},
    "backbones.trunk.weights": lambda path: {"backbones": {"trunk": {"weights": path}}},
    "classifiers.ordinary.weights": lambda path: {"classifiers": {"ordinary": {**ORDINARY, "weights": path}}},
    "classifiers.clip.text_features": lambda path: {
        "backbones": {"trunk": {"network": "resnet50"}, "vit": {"network": "timm", "model": "test_vit"}},
        "classifiers": {
            "ordinary": ORDINARY,
            "clip": {"objective": "clip", "backbone": "vit", "weights": "w.safetensors", "text_features": path},
        },
    },
    "affinities.a.weights": lambda path: {"affinities": {"a": {"method": "irn", "backbone": "trunk", "weights": path}}},
    "segmenters.d.weights": lambda path: {
        "segmenters": {"d": {"network": "deeplab", "backbone": "trunk", "weights": path}}
    },
    "cams.cam.threshold.subset": lambda path: {
        "cams": {"cam": {**CAM, "threshold": {"best_on": "subset", "subset": path}}}
    },
    "experiments.x.masks_of.file": lambda path: {
        "segmenters": {"d": {"network": "deeplab", "backbone": "trunk"}},
        "experiments": {"x": {"labels": "masks", "segmenter": "d", "masks_of": path}},
    },
    "runtime.results": lambda path: {"runtime": {"results": path}},
}


def at(config, key):
    for part in key.split("."):
        config = config[part] if isinstance(config, dict) else getattr(config, part)
    return str(config)


@pytest.mark.parametrize("key", KEYS)
def test_the_home_folder_is_meant_by_its_sign(key, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert at(load_config(small(**KEYS[key]("~/a.safetensors"))), key) == "/home/somebody/a.safetensors"
    assert at(load_config(small(**KEYS[key]("b/~/c~.safetensors"))), key) == "b/~/c~.safetensors"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "path",
    [
        "",
        " ",
        "a\0b",
        "a\nb",
        "\ud800",
        "r{x}",
        "x}",
        "$HOME/x",
        "${DATA}",
        "s3://b",
        "-r",
        "./-r/a.safetensors",
        "~no one/x",
        "x" * 256,
        "a/" * 2048,
    ],
)
def test_what_is_no_path_is_reported_with_its_key(key, path):
    with pytest.raises(ConfigError) as caught:
        load_config(small(**KEYS[key](path)))
    assert [fault for fault in caught.value.faults if fault.startswith(f"{key}: ")]


def test_every_path_of_the_settings_is_written_out():
    paths = {
        f"{kind.__name__}.{key}"
        for kind in settings_classes()
        for key, field in kind.model_fields.items()
        if Path in (field.annotation, *get_args(field.annotation)) or "Path" in str(field.annotation)
    }
    assert len(paths) >= 5
    for kind in settings_classes():
        for key, field in kind.model_fields.items():
            if f"{kind.__name__}.{key}" in paths:
                assert "written_out" in f"{field.annotation} {field.metadata}", f"{kind.__name__}.{key}"


def test_extensions_lie_in_the_home_folder_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text("")
    assert load_config(small(extensions=["~/mine.py"])).extensions == (str(tmp_path / "mine.py"),)
    with pytest.raises(ConfigError, match=r"extensions: 'a.*' has a control character"):
        load_config(small(extensions=["a\0"]))
    with pytest.raises(ConfigError, match="extensions: must be a list of paths, and 1 is not a path"):
        load_config(small(extensions=[1]))


def test_without_a_home_folder_its_sign_is_reported(monkeypatch):
    monkeypatch.setenv("HOME", "~")
    with pytest.raises(ValueError, match="~ is no known home folder"):
        written_out("~/data")
