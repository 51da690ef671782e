"""The first hour, done as its page says: the page's own commands, in their order."""

import re

import pytest
import yaml

from tests.workflow.workflow import BRIEF, REPOSITORY

from .a_checkout import Checkout
from .markdown import blocks, commands

PAGE = REPOSITORY / "docs/first_hour.md"
HERE = "tests/docs/test_first_hour.py"


def commands_of(test):
    """The command lines of the page that a test of this file is named for."""
    return [line for block in blocks(PAGE) if f"{HERE}::{test.__name__}" in block.note for line in commands(block)]


def follow(checkout, lines):
    """Run them; after ``cp`` the copied settings are what the page says to write there, and little work."""
    said = []
    for line in lines:
        said.append(checkout.run(line.replace("mine 40", "mine 12")))
        if line.startswith("cp "):
            shorten(checkout.folder / "my.yaml")
    return said


def shorten(path):
    """Take over the page's settings of the data set; few epochs, small crops."""
    settings = yaml.safe_load(path.read_text())
    shown = next(block for block in blocks(PAGE) if block.text.startswith("dataset:"))
    settings["dataset"] = yaml.safe_load(shown.text)["dataset"]
    for section, name in (("classifiers", "ordinary"), ("affinities", "irn"), ("segmenters", "deeplab")):
        settings[section][name]["optimisation"].update(BRIEF)
        settings[section][name]["augmentation"]["crop"] = 64
    settings["runtime"] = {"device": "cpu", "shards": 1}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def test_the_pictures_are_drawn_checked_and_planned(tmp_path):
    checkout = Checkout(tmp_path)
    *_, checked, planned = follow(checkout, commands_of(test_the_pictures_are_drawn_checked_and_planned))
    (page,) = (tmp_path / "results/mine").glob("dataset/*/dataset_report.html")
    assert f"What the data set holds: {page.relative_to(tmp_path)}" in checked
    assert "2 of 2 steps (100%) done" in checked
    jobs = re.search(r"^total +(\d+)$", planned, re.M)
    assert jobs is not None and 16 <= int(jobs[1]) <= 22
    first = (tmp_path / "data/mine/labels.csv").read_text().splitlines()
    shown = next(block for block in blocks(PAGE) if block.language == "csv")
    assert first[: len(shown.text.splitlines())] == shown.text.splitlines()


@pytest.mark.slow
def test_the_whole_way(tmp_path):
    checkout = Checkout(tmp_path)
    follow(checkout, commands_of(test_the_pictures_are_drawn_checked_and_planned))
    (said,) = follow(checkout, commands_of(test_the_whole_way))
    assert "(100%) done" in said
    results = tmp_path / "results/mine"
    shown = next(block.text for block in blocks(PAGE) if block.text.startswith("results/mine/"))
    for line in shown.splitlines()[1:]:
        path = results / line.split()[0]
        assert path.is_file() or any(path.iterdir()), path
    program = next(block for block in blocks(PAGE) if block.language == "python")
    (tmp_path / "program.py").write_text(program.text)
    checkout.run("cp data/mine/images/IMG_0000.jpg new.jpg && python program.py")
    assert (tmp_path / "new.png").exists()
    settings = yaml.safe_load((tmp_path / "my.yaml").read_text())
    second = yaml.safe_load(next(block for block in blocks(PAGE) if block.text.startswith("cams:")).text)
    for section, variants in second.items():
        settings[section] |= variants
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    planned = checkout.run("snakemake -n -q rules --configfile my.yaml")
    assert "generate_cams " in planned and "train_classifier " not in planned
