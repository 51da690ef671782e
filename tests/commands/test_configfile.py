"""``--configfile`` of our commands means what it means to Snakemake, also when several files are given."""

import argparse

import pytest
import yaml
from snakemake.utils import update_config

from wsss_core.commands.configfile import add_configfile, plan_of, snakemake_options
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


def test_each_file_must_be_readable(changes):
    with pytest.raises(UserError, match=r"missing\.yaml: cannot be read"):
        plan_of(options("--configfile", changes, "--configfile", "missing.yaml"))
