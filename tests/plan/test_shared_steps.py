import copy
from pathlib import Path

import pytest

from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan
from wsss_core.plan.shared_steps import unshared_steps

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


def reported(rule, gpus, device="auto", change=lambda raw: None):
    raw = copy.deepcopy(DEMO)
    raw["runtime"]["device"] = device
    raw["resources"] = {rule: {"gpu": gpus}}
    raw["experiments"] = {"cam": raw["experiments"]["cam"]}
    change(raw)
    return list(unshared_steps(Plan(load_config(raw))))


def in_parts(raw):
    raw["segmenters"]["deeplab"]["optimisation"]["accumulate"] = 4


@pytest.mark.parametrize(
    ("rule", "gpus", "change", "fault"),
    [
        ("train_segmenter", 3, None, "gpu: cam-irn-deeplab: 3 GPUs cannot share the 8 images of a step"),
        ("train_classifier", 5, None, "gpu: ordinary: 5 GPUs cannot share the 8 images of a step equally"),
        ("prepare_backbone", 7, None, "gpu: small: 7 GPUs cannot share the 32 images of a step equally"),
        ("train_segmenter", 4, in_parts, "each of 4 GPUs has 2 images of a step, which cannot make 4 equal parts"),
    ],
)
def test_steps_that_cannot_be_shared_are_reported(rule, gpus, change, fault):
    change = change or (lambda raw: None)
    (line,) = reported(rule, gpus, change=change)
    assert line.startswith(f"resources.{rule}.gpu: ") and fault in line
    assert reported(rule, gpus, "cpu", change) == []  # it asks for no GPU


def test_what_is_shared_equally_or_not_trained_is_right():
    def imported(raw):
        raw["segmenters"]["deeplab"]["weights"] = "net.safetensors"
        raw["experiments"] = {"full": raw["experiments"]["cam"] | {"labels": "masks"}}
        for key in ("cams", "affinity"):
            del raw["experiments"]["full"][key]

    assert reported("train_segmenter", 4) == []
    assert reported("train_classifier", 3, change=imported) == []  # the classifier says which trunk it is, and no more
    assert reported("train_segmenter", 3, change=lambda raw: raw["experiments"]["cam"].pop("segmenter")) == []


@pytest.mark.parametrize(("warm_up", "sizes"), [(0, [9]), (2, [8, 9])])
def test_aeft_has_another_size_after_its_warm_up(warm_up, sizes):
    def change(raw):
        aeft = raw["classifiers"]["aeft"]
        aeft |= {"warmup_epochs": warm_up, "triplet_batch_size": 9}
        aeft["optimisation"] = {**aeft["optimisation"], "epochs": 6, "batch_size": 8}
        raw["experiments"] = {"aeft": {"cams": "aeft"}}

    for gpus in (2, 3):
        assert bool([line for line in reported("train_classifier", gpus, change=change) if "aeft" in line]) == any(
            size % gpus for size in sizes
        )
