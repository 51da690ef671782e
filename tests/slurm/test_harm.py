"""Things that happen on a cluster: jobs are killed, a node dies, Snakemake itself is killed on the login node.

Each test goes on in the finished demo's folder, with a variant of maps of its own: what lies upstream is there.
"""

import re
import subprocess

import pytest
import torch

from tests.workflow.workflow import REPOSITORY

from .cluster import NODES
from .workflow import STRAIGHT, ClusterWorkflow, tiny_demo

ON_THE_CPU = not torch.cuda.is_available()
"""Only a CPU computes the same to the byte."""


@pytest.fixture
def variant(finished, cluster):
    """Makes the workflow of a variant's maps; whatever a test leaves of it is ended."""
    made = []

    def make(name):
        made.append(ClusterWorkflow(finished.folder, tiny_demo(name), cluster))
        return made[0]

    yield make
    for workflow in made:
        workflow.end_all()


def test_a_killed_job_is_tried_again_with_more_memory_and_time(variant, cluster):
    workflow = variant(STRAIGHT)
    workflow.config["classifiers"]["watched"]["optimisation"]["seed"] = 7
    before = {job.number for job in cluster.jobs()}

    def attempts():
        return [job for job in cluster.jobs(rule="train_classifier") if job.number not in before]

    (workflow.folder / "eat_training").write_text("1500")
    workflow.hold("training")
    process = workflow.start("classifier")
    # The first attempt wants more memory than it asked for; the second has it, and is cancelled.
    workflow.wait_for(process, lambda: len(workflow.at_work("training")) == 2, seconds=240)
    (workflow.folder / "eat_training").unlink()
    cluster.run("scancel", str(attempts()[-1].number))
    workflow.release("training")
    workflow.finish(process)
    assert [job.fields["MinMemoryNode"] for job in attempts()] == ["2400M", "4800M", "7200M"]
    assert [job.fields["TimeLimit"] for job in attempts()] == ["00:07:00", "00:14:00", "00:20:00"]  # max_runtime: 20
    assert [job.state for job in attempts()] == ["FAILED", "CANCELLED", "COMPLETED"]
    log = max((workflow.results / "logs/train_classifier").glob("*.log"), key=lambda path: path.stat().st_mtime)
    # The warning of scancel let the step under way be finished and kept.
    assert "continuing after epoch" in log.read_text() and "after epoch 1 and 0 steps" not in log.read_text()


def test_a_dead_nodes_job_is_done_on_another_node_and_two_writers_do_no_harm(variant, cluster, local):
    workflow = variant("node_killed")
    workflow.hold("maps")
    process = workflow.start("cams")
    (number,) = workflow.wait_for(process, lambda: workflow.at_work("maps"), seconds=240)

    def job():
        return next(job for job in cluster.jobs() if job.number == int(number))

    dead = job().fields["NodeList"]
    cluster.kill_node_daemon(dead)
    try:
        # The node is given up, and its job goes back into the queue, for two minutes: not in a test.
        workflow.wait_for(process, lambda: job().state == "PENDING" and job().fields["Restarts"] == "1")
        cluster.run("scontrol", "update", f"JobId={number}", "StartTime=now")
        # What ran on the node runs on, without the controller's knowledge: two processes at the same maps.
        workflow.wait_for(process, lambda: len(workflow.at_work("maps")[number]) == 2)
        assert job().fields["NodeList"] == next(node for node in NODES if node != dead)
        workflow.release("maps")
        workflow.finish(process)
        workflow.wait_until_quiet()
    finally:
        cluster.start_node_daemon(dead)
    assert job().state == "COMPLETED"
    assert len(workflow.shards("node_killed")) == 1
    assert not ON_THE_CPU or workflow.shards("node_killed") == local.shards("whole")
    assert workflow.planned("cams") == {}


def test_after_snakemake_is_killed_a_new_one_finishes_next_to_the_old_ones_jobs(variant, cluster, local):
    workflow = variant("main_killed")
    workflow.hold("maps")
    process = workflow.start("cams")
    workflow.wait_for(process, lambda: workflow.at_work("maps"), seconds=240)
    process.kill()
    process.wait()
    refused = workflow.attempt("cams")
    assert refused.returncode != 0 and "--unlock" in refused.stdout
    workflow.run("--unlock")
    process = workflow.start("cams")
    # It knows nothing of the job that runs on, and gives its work to another.
    workflow.wait_for(process, lambda: len(workflow.at_work("maps")) == 2)
    workflow.release("maps")
    workflow.finish(process)
    workflow.wait_until_quiet()
    assert [job.state for job in cluster.jobs() if str(job.number) in workflow.at_work("maps")] == ["COMPLETED"] * 2
    assert len(workflow.shards("main_killed")) == 1
    assert not ON_THE_CPU or workflow.shards("main_killed") == local.shards("whole")
    assert workflow.planned("cams") == {}


def test_after_snakemake_is_killed_its_jobs_are_cancelled_as_the_manual_says(variant, cluster, local):
    workflow = variant("cancelled")
    workflow.hold("maps")
    process = workflow.start("cams")
    (number,) = workflow.wait_for(process, lambda: workflow.at_work("maps"), seconds=240)
    process.kill()
    process.wait()
    manual = (REPOSITORY / "docs/slurm.md").read_text()
    (command,) = re.findall(r"^squeue .*scancel.*$", manual, re.M)
    subprocess.run(["bash", "-c", command], cwd=workflow.folder, env=cluster.environment, check=True, timeout=60)
    workflow.wait_until_quiet()
    assert [job.state for job in cluster.jobs() if job.number == int(number)] == ["CANCELLED"]
    workflow.release("maps")
    workflow.run("--unlock")
    workflow.run("cams")
    assert not ON_THE_CPU or workflow.shards("cancelled") == local.shards("whole")
