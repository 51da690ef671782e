"""One cluster for all tests of this folder; without SLURM on this machine they are skipped, and say so."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import NODES, Cluster, ClusterError, missing_programs
from .workflow import STRAIGHT, ClusterWorkflow, tiny_demo

REQUIRED = "WSSS_REQUIRE_SLURM"
"""Set in CI: there, a cluster that does not start is a failure."""
SHARDS = 1 + sum(NODES.values())
"""One more than GPUs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The running cluster."""
    give_up = pytest.fail if os.environ.get(REQUIRED) else pytest.skip
    if missing := missing_programs():
        give_up(
            f"not installed: {', '.join(missing)} (Debian: apt-get install --no-install-recommends slurm-wlm munge)"
        )
    folder = Path(tempfile.mkdtemp(prefix="wsss-slurm-", dir="/tmp"))  # short: it holds a socket
    cluster = Cluster(folder)
    # Who ends the tests (a time limit, say) ends the cluster, and what runs on it.
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    try:
        try:
            cluster.start()
        except ClusterError as error:
            give_up(str(error))
        yield cluster
    finally:
        cluster.stop()
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorkflow]:
    """The demo on the cluster, run to its end while a job had to wait for a GPU."""
    workflow = ClusterWorkflow(tmp_path_factory.mktemp("demo"), tiny_demo(STRAIGHT, shards=SHARDS), cluster)
    try:
        workflow.hold("maps")
        process = workflow.start()
        # There are cores and memory for all jobs: the last one is kept waiting by nothing but GPUs.
        workflow.wait_for(process, lambda: len(workflow.at_work("maps")) == SHARDS - 1, seconds=400)
        workflow.wait_for(process, lambda: "Resources" in [job.fields["Reason"] for job in cluster.jobs("PENDING")])
        workflow.release("maps")
        workflow.finish(process)
        yield workflow
    finally:
        workflow.end_all()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> ClusterWorkflow:
    """The same on this machine, without a cluster; its maps, as ``whole``, are in one shard."""
    workflow = ClusterWorkflow(tmp_path_factory.mktemp("local"), tiny_demo("whole"))
    workflow.run("cams")
    return workflow
