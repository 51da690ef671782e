import copy
from pathlib import Path

import pytest

from wsss_core.config import ConfigError, load_config, read_yaml

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


def with_gpus(rule, gpus, device="auto", **segmenter):
    raw = copy.deepcopy(DEMO)
    raw["runtime"]["device"] = device
    raw["resources"] = {rule: {"gpu": gpus}}
    raw["segmenters"]["deeplab"]["optimisation"] |= segmenter
    raw["experiments"] = {"cam": raw["experiments"]["cam"]}
    return load_config(raw)


@pytest.mark.parametrize(
    ("rule", "gpus", "segmenter", "fault"),
    [
        ("train_segmenter", 3, {}, "resources.train_segmenter.gpu: 3 GPUs cannot share the 8 images of a step of seg"),
        ("train_classifier", 5, {}, "5 GPUs cannot share the 8 images of a step of classifiers.ordinary equally"),
        ("prepare_backbone", 7, {}, "7 GPUs cannot share the 32 images of a step of backbones.small equally"),
        (
            "train_segmenter",
            4,
            {"accumulate": 4},
            "segmenters.deeplab.optimisation.accumulate: each of 4 GPUs has 2 images of a step, which make no 4 equal",
        ),
    ],
)
def test_steps_that_cannot_be_shared_are_told(rule, gpus, segmenter, fault):
    with pytest.raises(ConfigError) as error:
        with_gpus(rule, gpus, **segmenter)
    (line,) = error.value.faults
    assert fault in line
    with_gpus(rule, gpus, device="cpu", **segmenter)  # asks for no GPU


def test_what_is_shared_equally_or_not_used_is_right():
    with_gpus("train_segmenter", 4, accumulate=2)
    raw = copy.deepcopy(DEMO)
    raw["runtime"]["device"] = "cuda"
    raw["resources"] = {"train_segmenter": {"gpu": 3}}
    raw["experiments"] = {"cam": {"cams": "cam", "affinity": "affinitynet"}}
    load_config(raw)
