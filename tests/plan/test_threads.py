"""How many cores a job of a rule gets: more where it computes on a GPU."""

import pytest

from wsss_core.config import read_yaml
from wsss_core.config.stages import DEFAULT_RESOURCES, GPU_THREADS
from wsss_core.jobs import gpu_lease
from wsss_core.plan.rules import Rules

from ..workflow.workflow import REPOSITORY


@pytest.fixture
def threads(monkeypatch, tmp_path):
    """Cores of a rule's job, by ``runtime.device``, on a machine with these GPUs."""
    for variable in ("SLURM_JOB_ID", "WSSS_FAKE_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)

    def of(rule, device, gpus=(), resources=None):
        monkeypatch.setattr(gpu_lease, "_gpus_of_the_machine", lambda: dict.fromkeys(gpus, ""))
        config = read_yaml(REPOSITORY / "config.yaml")
        config["runtime"] = {"results": str(tmp_path), "device": device}
        config["resources"] = resources or {}
        return Rules(config).threads(rule)

    return of


def test_jobs_on_a_gpu_have_threads_for_what_it_would_wait_for(threads):
    for rule, number in GPU_THREADS.items():
        assert threads(rule, "auto", gpus=["0"]) == threads(rule, "cuda") == number > 1
        assert threads(rule, "auto") == threads(rule, "cpu", gpus=["0"]) == 1
    assert threads("make_pseudo_labels", "cuda") == 1 and threads("index_dataset", "cuda") == 4


def test_what_is_asked_for_counts(threads):
    assert threads("predict", "cuda", resources={"predict": {"threads": 3}}) == 3
    assert threads("predict", "cuda", resources={"predict": {"mem_mb": 9000}}) == GPU_THREADS["predict"]
    assert threads("predict", "cuda", resources={"predict": {"gpu": 0}}) == 1
    assert threads("predict", "cpu", resources={"predict": {"mem_mb": 9000}}) == 1


def test_jobs_of_slurm_are_the_same_on_every_node(threads, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert threads("predict", "auto", gpus=["0"]) == 1


def test_gpus_that_tests_invent_compute_on_the_cpu(threads, monkeypatch):
    monkeypatch.setenv("WSSS_FAKE_GPUS", "0,1")
    assert threads("predict", "auto", gpus=["0", "1"]) == 1


def test_only_rules_with_a_gpu_have_others():
    assert {rule for rule in GPU_THREADS if DEFAULT_RESOURCES[rule].gpu} == set(GPU_THREADS)
    assert all(DEFAULT_RESOURCES[rule].threads == 1 for rule in GPU_THREADS)
