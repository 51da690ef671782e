"""A checkout, and its environment, in a folder whose name the shell would take apart; results under odd names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .workflow import REPOSITORY, Workflow

ODD = """It's [my] "R&D" (1); $x #é"""
LINKED = ("Snakefile", "profiles", "captions", "envs", "configs")
COPIED = ("rules", "workflow_scripts")
"""Snakemake finds scripts by the true place of the rules."""


def checkout_at(place):
    """The project in a folder, with an environment in it, as ``make install`` leaves it."""
    place.mkdir(parents=True)
    for name in LINKED:
        (place / name).symlink_to(REPOSITORY / name)
    for name in COPIED:
        (place / name).mkdir()
        for file in (REPOSITORY / name).iterdir():
            if file.is_file():
                (place / name / file.name).write_bytes(file.read_bytes())
    (place / "wsss_core").symlink_to(REPOSITORY / "wsss_core")
    (place / ".venv").symlink_to(Path(sys.executable).parents[1])


def check_dataset(place, tmp_path):
    """What the check of a small data set says, run by the checkout's own Python."""
    workflow = Workflow(tmp_path)
    workflow.config["dataset"]["generate"] = {"train_images": 8, "val_images": 4, "size": 32}
    workflow.command()  # writes the configuration
    command = [".venv/bin/python", "-m", "snakemake", "check_dataset", "--cores", "1", "--configfile"]
    environment = {**os.environ, "PYTHONPATH": "", "PATH": f"{place}/.venv/bin:{os.environ['PATH']}"}
    return subprocess.run(
        [*command, str(tmp_path / "config.yaml")],
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_checkout_may_lie_in_a_folder_of_an_odd_name(tmp_path):
    place = tmp_path / ODD / "wsss"
    checkout_at(place)
    result = check_dataset(place, tmp_path)
    assert result.returncode == 0, result.stdout
    assert list((place / "results/creatures/dataset").glob("*/index.csv"))


def test_braces_in_its_path_are_reported_before_any_job(tmp_path):
    place = tmp_path / "{x}" / "wsss"
    checkout_at(place)
    result = check_dataset(place, tmp_path)
    assert result.returncode != 0
    assert "the path has braces, which Snakemake replaces" in result.stdout
    assert "Traceback" not in result.stdout and not (place / "results").exists()


@pytest.mark.parametrize("results", ["file", "r{x}", "a\0b"])
def test_results_that_can_be_no_folder_are_reported_by_their_key(results, tmp_path):
    (tmp_path / "file").touch()
    workflow = Workflow(tmp_path)
    workflow.config["runtime"]["results"] = results
    result = workflow.attempt("--dry-run")
    assert result.returncode != 0
    assert "runtime.results: " in result.stdout and "Traceback" not in result.stdout


def test_results_may_have_an_odd_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    workflow = Workflow(tmp_path)
    workflow.config["dataset"]["generate"] = {"train_images": 8, "val_images": 4, "size": 32}
    workflow.config["runtime"]["results"] = f"~/{ODD}"
    workflow.run("check_dataset")
    assert list((tmp_path / ODD / "creatures/dataset").glob("*/index.csv"))
