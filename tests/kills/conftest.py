import subprocess
from pathlib import Path

import pytest

from tests.workflow.workflow import Workflow, small_demo


class SmallDisk:
    """A file system of its own, of a few KiB that can become more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, kilobytes: int) -> subprocess.CompletedProcess[str]:
        path, size = str(self.path), f"size={kilobytes}k"
        return subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", path], capture_output=True, text=True)

    def grow(self, kilobytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.path)], check=True)

    def used(self) -> int:
        """KiB."""
        return int(subprocess.check_output(["df", "--output=used", "-k", str(self.path)], text=True).split()[-1])


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 256 KiB; mounting it takes root."""
    disk = SmallDisk(tmp_path / "disk")
    disk.path.mkdir()
    mounted = disk.mount(256)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.path)], check=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The way of one method, run to its end as users run it; tests put back what they take from it."""
    config = small_demo("advcam")
    del config["resources"]  # as many threads as jobs have by default
    workflow = Workflow(tmp_path_factory.mktemp("kills"), config, warm=False)
    workflow.config["cams"]["advcam"]["threshold"] = {"best_on": "train"}  # so that there is a job that chooses it
    workflow.run()
    return workflow
