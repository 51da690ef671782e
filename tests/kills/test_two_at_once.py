"""Two jobs, or two runs of Snakemake, on the same artifact: a job taken for dead may go on beside its successor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.workflow import Workflow, job_processes, small_demo, wait_for

pytestmark = pytest.mark.xdist_group("kills")

SCRIPT = Path(__file__).with_name("make_artifacts.py")
ROUNDS = 2


def make(*arguments):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and ".partial" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_two_jobs_that_write_the_same_artifacts_do_each_other_no_harm(tmp_path):
    """Weights, curves, shards of class maps, label maps, folders of images."""
    inputs, alone, together = (tmp_path / name for name in ("inputs", "alone", "together"))
    process = make(inputs, alone, 1)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    expected = content(alone / "0")
    assert len(expected) > 20
    for process in [make(inputs, together, ROUNDS) for _ in range(2)]:
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    for number in range(ROUNDS):
        assert content(together / f"{number}") == expected


def test_a_second_snakemake_is_reported_of_the_first_and_harms_nothing(tmp_path, finished):
    workflow = Workflow(tmp_path, small_demo("cam"), warm=False)
    del workflow.config["resources"]  # as in the finished one: sums of two threads differ in the last bits
    first = workflow.start("backbone")
    (job,) = wait_for(lambda: job_processes(first, "prepare_backbone"), first)
    job.suspend()  # so that the first cannot be done before the second begins
    try:
        second = workflow.attempt("backbone")
    finally:
        job.resume()
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout and "--unlock" in second.stdout
    assert first.wait(timeout=300) == 0
    assert workflow.planned("backbone") == {}
    (weights,) = workflow.results.glob("backbone/*/weights.safetensors")
    alone = finished.results / weights.relative_to(workflow.results)  # another experiment, and the same backbone
    assert weights.read_bytes() == alone.read_bytes()
