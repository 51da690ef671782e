"""``--configfile`` of our commands, given several times, has the effect of several files after Snakemake's."""

import argparse
import json
import random

import pytest
import yaml
from snakemake.utils import update_config

from wsss_core.commands.configfile import add_configfile, merged, plan_of, snakemake_options
from wsss_core.config import load_config, read_yaml
from wsss_core.errors import UserError

CHANGES = {
    "dataset": {"generate": {"train_images": 7}},
    "cams": {"cam": {"threshold": 0.4}, "mine": {"extends": "cam", "scales": [1.0]}},
    "experiments": {"mine": {"cams": "mine"}},
}


def options(*words):
    parser = argparse.ArgumentParser()
    add_configfile(parser)
    return parser.parse_args(words)


@pytest.fixture
def changes(tmp_path):
    file = tmp_path / "my changes.yaml"
    file.write_text(yaml.safe_dump(CHANGES), encoding="utf-8")
    return str(file)


def test_without_the_option_it_is_the_default_file():
    assert plan_of(options()).config.dataset.name == "creatures"
    assert snakemake_options(options()) == ""


def test_several_files_are_merged_as_snakemake_does(changes):
    merged = read_yaml("config.yaml")
    update_config(merged, read_yaml(changes))
    given = options("--configfile", "config.yaml", "--configfile", changes)
    plan = plan_of(given)
    assert plan.config == load_config(merged)
    assert plan.config.dataset.generated.train_images == 7 and {"cam", "mine"} <= set(plan.experiments)
    assert snakemake_options(given) == f" --configfile config.yaml '{changes}'"


def test_blocks_are_merged_as_snakemake_merges_them():
    draw = random.Random(0)

    def block(depth):
        values = [None, 1, "text", [1], {}] + ([block(depth - 1)] if depth else [])
        return {key: draw.choice(values) for key in draw.sample("abc", draw.randint(0, 3))}

    for _ in range(2000):
        below, above = (json.loads(json.dumps(block(3))) for _ in range(2))
        result = merged(below, above)
        update_config(below, above)
        assert result == below


def test_a_file_that_contains_itself_is_reported(tmp_path):
    file = tmp_path / "circle.yaml"
    file.write_text("cams: &a\n  cam: *a\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"circle\.yaml: cams\.cam: contains itself"):
        plan_of(options("--configfile", str(file), "--configfile", str(file)))


def test_each_file_must_be_readable(changes):
    with pytest.raises(UserError, match=r"missing\.yaml: cannot be read"):
        plan_of(options("--configfile", changes, "--configfile", "missing.yaml"))
