"""The demo as it is shipped: every step is worth something, in the time it may take."""

import shutil
import time

import pandas
import pytest
import yaml

from .workflow import REPOSITORY, Workflow

MINUTES = 6


@pytest.mark.slow
def test_the_demo_shows_what_each_step_is_worth(tmp_path):
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    workflow = Workflow(tmp_path, config)
    start = time.monotonic()
    workflow.run()
    minutes = (time.monotonic() - start) / 60
    table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    print(f"{minutes:.1f} minutes", table.to_string(), sep="\n")
    cam, advcam, full = table.loc["cam"], table.loc["advcam"], table.loc["full"]
    assert advcam["seed"] > cam["seed"]
    for experiment in (cam, advcam):
        assert experiment["seed"] < experiment["refined_seed"] < experiment["pseudo_labels"]
    assert cam["val"] < advcam["val"] < full["val"]
    assert minutes < MINUTES
    shutil.rmtree(tmp_path)
