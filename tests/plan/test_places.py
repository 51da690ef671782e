"""Folders of the results that cannot be made are reported before anything runs."""

import copy
import os
from pathlib import Path

import pytest

from wsss_core.config import load_config, read_yaml
from wsss_core.errors import UserError
from wsss_core.plan.places import AROUND_A_NAME
from wsss_core.plan.rules import Rules

REPOSITORY = Path(__file__).parents[2]
DEMO = read_yaml(REPOSITORY / "config.yaml")
DIGEST = "-0123456789"


def faults_of(change):
    """What is reported of the demo with a change; nothing if it is planned."""
    raw = copy.deepcopy(DEMO)
    change(raw)
    load_config(raw)  # the file by itself is right
    try:
        Rules(raw)
    except UserError as error:
        return str(error).splitlines()
    return []


def results(folder):
    return lambda raw: raw["runtime"].update(results=str(folder))


def test_results_that_are_a_file_or_lie_in_one_are_reported(tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/inner"):
        (fault,) = faults_of(results(tmp_path / place))
        assert fault.startswith("runtime.results: ") and "file is a file; give a folder" in fault
    (tmp_path / "creatures").touch()  # where the data set's folder would be
    assert "creatures is a file" in faults_of(results(tmp_path))[0]


def test_results_at_a_link_that_leads_nowhere_are_reported(tmp_path):
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "there").symlink_to(tmp_path)
    for place in ("gone", "loop/inner"):
        assert "is a link that leads nowhere" in faults_of(results(tmp_path / place))[0]
    assert faults_of(results(tmp_path / "there/inner")) == []


def test_results_of_too_long_a_name_or_path_are_reported(tmp_path, monkeypatch):
    (fault,) = faults_of(results(tmp_path.joinpath(*["x" * 200] * 18)))
    assert fault.startswith("runtime.results: the path has ")
    monkeypatch.setattr("wsss_core.plan.places.longest_name", lambda folder: 143)  # of an encrypted home folder
    (fault,) = faults_of(results(tmp_path / ("é" * 80)))
    assert fault.startswith("runtime.results: ") and "has 160 bytes; choose a shorter one" in fault


def joined_names(length):
    """A change of the demo's names so that the segmenter's folder is named with so many bytes."""

    def change(raw):
        rest = length - len(DIGEST) - len("cam-irn-")
        raw["segmenters"]["s" * rest] = raw["segmenters"].pop("deeplab")
        raw["experiments"] = {"x": {"cams": "cam", "affinity": "irn", "segmenter": "s" * rest}}

    return change


def test_names_that_make_too_long_a_folder_together_are_reported():
    assert faults_of(joined_names(255 - AROUND_A_NAME)) == []
    (fault,) = faults_of(joined_names(256 - AROUND_A_NAME))
    assert fault.startswith("experiments.x: the joined names of the variants it uses would need file names of 256")


def test_every_name_of_a_folder_is_looked_at():
    def change(raw):
        raw["dataset"]["name"] = "d" * 240
        raw["experiments"]["e" * 240] = {"cams": "cam"}
        raw["backbones"]["b" * 240] = {**raw["backbones"].pop("small")}
        raw["classifiers"]["ordinary"]["backbone"] = "b" * 240
        raw["sweeps"] = {"s" * 240: {"experiment": "cam", "fields": {"cams.cam.threshold": [0.1, 0.2]}}}

    reported = "\n".join(faults_of(change))
    for key in (
        "dataset.name: ",
        f"experiments.{'e' * 60}...: ",
        f"variant {'b' * 60}...: ",
        f"sweeps.{'s' * 60}...: ",
    ):
        assert key in reported


@pytest.mark.parametrize("folder", ["rules"])
def test_the_margin_is_enough_for_every_log(folder):
    """Of all names that rules make around an artifact's, the longest."""
    text = "".join(file.read_text() for file in (REPOSITORY / folder).glob("*.smk"))
    names = [line.split('"')[1].rpartition("/")[2] for line in text.splitlines() if "ask.log(" in line]
    longest = {
        "stage": "test_predictions",
        "maps": "walked_cams",
        "listing": "listed_masks",
        "shard": "000",
        "shards": "000",
    }
    around = [name.format(artifact="", experiment="", sweep="", **longest) + ".log" for name in names]
    assert len(around) > 20 and max(map(len, around)) <= AROUND_A_NAME
    assert os.pathconf("/", "PC_NAME_MAX") >= 143
