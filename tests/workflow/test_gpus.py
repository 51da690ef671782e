"""The workflow on a workstation with two GPUs, which are invented: everything computes on the CPU."""

import re

import pandas
import pytest

from .workflow import Workflow, small_demo

pytestmark = pytest.mark.xdist_group("finished")


def said(workflow, rule):
    return "".join(log.read_text() for log in sorted((workflow.results / "logs" / rule).glob("*.log")))


def test_jobs_lease_gpus_and_a_training_takes_two(tmp_path, monkeypatch, finished):
    monkeypatch.setenv("WSSS_FAKE_GPUS", "0,1")
    monkeypatch.setenv("WSSS_GPU_LEASES", str(tmp_path / "leases"))
    workflow = Workflow(tmp_path, small_demo("cam"))
    workflow.config["runtime"] = {"device": "auto", "shards": 2}
    workflow.config["resources"] = {"train_classifier": {"gpu": 2}}
    workflow.run("cams", "--resources", "gpu=2")

    assert "computing on GPU 0\n" in said(workflow, "prepare_backbone")
    training = said(workflow, "train_classifier")
    assert "computing on GPU 0, 1\n" in training and "training in 2 processes\n" in training
    assert training.count("epoch 3, loss") == training.count("done in") == 1  # one job, one log
    leased = re.findall("computing on GPU (.*)", said(workflow, "generate_cams"))
    assert len(leased) == 2 and set(leased) <= {"0", "1"}  # one job after the other may have had the same

    artifact = next(workflow.results.glob("classifier/*"))
    alone = finished.results / "classifier" / artifact.name  # of the same name: GPUs are part of no identity
    curves = [pandas.read_csv(folder / "training.csv") for folder in (artifact, alone)]
    pandas.testing.assert_frame_equal(*curves, rtol=0.05)
    assert curves[0]["loss"][0] != curves[1]["loss"][0]
