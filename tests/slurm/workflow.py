"""The small demo, smaller still, on the test's cluster."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.workflow.workflow import REPOSITORY, Workflow, small_demo

from .cluster import GPU_MODEL, GPU_PARTITION, PARTITION, Cluster, wait_until

PROFILE = REPOSITORY / "profiles/slurm/config.yaml"


STRAIGHT = "straight"
"""The variant of maps that nothing happens to. All variants are the same maps, in folders of their own."""


def tiny_demo(variant: str, shards: int = 1) -> dict[str, Any]:
    """One classifier, and its maps under the name of ``variant``: eleven jobs with four shards."""
    config = small_demo()
    config["extensions"] = ["watched.py"]
    config["dataset"]["generate"].update(train_images=24, val_images=4)
    config["backbones"] = {"small": config["backbones"]["small"]}
    config["classifiers"] = {"watched": {**config["classifiers"]["ordinary"], "objective": "watched"}}
    config["cams"] = {variant: {"method": "watched", "classifier": "watched", "scales": [1.0]}}
    config["experiments"] = {variant: {"cams": variant}}
    config["affinities"], config["segmenters"] = {}, {}
    config["runtime"] = {"device": "auto", "shards": shards, "max_runtime": 20}
    config["resources"] = {
        "prepare_backbone": {"mem_mb": 4000, "runtime": 6, "gpu": 1},
        "train_classifier": {"threads": 2, "mem_mb": 2400, "runtime": 7, "gpu": 2},
        "score_classifier": {"mem_mb": 3000, "runtime": 15, "gpu": 1},
        "generate_cams": {"mem_mb": 3000, "runtime": 15, "gpu": 1},
    }
    return config


def uncommented_profile() -> dict[str, Any]:
    """The profile as it is shipped, with all that it offers to uncomment."""
    text = re.sub(r"^# ( *[\w-]+:(?: .*)?)$", r"\1", PROFILE.read_text(), flags=re.M)
    profile: dict[str, Any] = yaml.safe_load(text)
    return profile


def cluster_profile() -> dict[str, Any]:
    """The shipped profile with the test cluster's names."""
    profile = uncommented_profile()
    profile["default-resources"].update(slurm_partition=PARTITION, slurm_account="nobody", qos="normal")
    for resources in profile["set-resources"].values():
        resources.update(slurm_partition=GPU_PARTITION, gpu_model=GPU_MODEL)
    # A local disk, and a controller that answers at once.
    profile.update(
        {"latency-wait": 5, "slurm-init-seconds-before-status-checks": 1, "max-status-checks-per-second": 10}
    )
    return profile


@dataclass
class ClusterWorkflow(Workflow):
    """A working directory whose jobs run on the cluster; with none, on this machine."""

    cluster: Cluster | None = None
    started: list["subprocess.Popen[str]"] = field(default_factory=list)
    """Every Snakemake of this object, ended or not."""

    def __post_init__(self) -> None:
        shutil.copy(Path(__file__).with_name("watched.py"), self.folder)
        (self.folder / "profile").mkdir(exist_ok=True)
        (self.folder / "profile/config.yaml").write_text(yaml.safe_dump(cluster_profile()))

    def command(self, *arguments: str) -> list[str]:
        """The command line, on the cluster's profile."""
        local = super().command(*arguments)
        if self.cluster is None:
            return local
        options = local[local.index("--configfile") :]
        program = [sys.executable, str(Path(__file__).with_name("short_polls.py"))]
        snakefile = ["--snakefile", str(REPOSITORY / "Snakefile")]
        return [*program, *snakefile, "--workflow-profile", str(self.folder / "profile"), *options]

    def attempt(self, *arguments: str, seconds: float = 180) -> "subprocess.CompletedProcess[str]":
        """Run to the end, whatever it is; the output is also in ``snakemake.log``."""
        process = self.start(*arguments)
        try:
            process.wait(timeout=seconds)
        finally:
            process.kill()
        output = (self.folder / "snakemake.log").read_text()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start without waiting; the output goes to ``snakemake.log``."""
        environment = self.cluster.environment if self.cluster else None
        with open(self.folder / "snakemake.log", "w") as log:
            process = subprocess.Popen(
                self.command(*arguments), stdout=log, stderr=subprocess.STDOUT, text=True, env=environment
            )
        self.started.append(process)
        return process

    def hold(self, what: str) -> None:
        """From now on, jobs stay in the middle of ``training`` or ``maps``."""
        (self.folder / f"hold_{what}").touch()
        shutil.rmtree(self.folder / "notes" / what, ignore_errors=True)

    def release(self, what: str) -> None:
        """Held jobs go on."""
        (self.folder / f"hold_{what}").unlink()

    def at_work(self, what: str) -> dict[str, list[dict[str, Any]]]:
        """The notes of jobs that reached the middle, by SLURM's number: one for each process."""
        found: dict[str, list[dict[str, Any]]] = {}
        for note in (self.folder / "notes" / what).glob("*.json"):
            found.setdefault(note.stem.partition("-")[0], []).append(json.loads(note.read_text()))
        return found

    def wait_for(self, process: "subprocess.Popen[str]", condition: Any, seconds: float = 120) -> Any:
        """Poll until the condition is true, while Snakemake runs; its value."""
        value = wait_until(condition, seconds, failed=lambda: process.poll() is not None)
        assert value, f"did not happen:\n{(self.folder / 'snakemake.log').read_text()}"
        return value

    def finish(self, process: "subprocess.Popen[str]", seconds: float = 120) -> str:
        """Wait for a Snakemake that shall end well; its output."""
        returncode = process.wait(timeout=seconds)
        output = (self.folder / "snakemake.log").read_text()
        assert returncode == 0, output
        return output

    def wait_until_quiet(self) -> None:
        """Wait until no job of this folder is at work, whether the controller knows of it or not."""
        assert wait_until(lambda: not self._job_processes(), seconds=120)

    def end_all(self) -> None:
        """End Snakemake and its jobs, if a test left any, and let nothing hold or eat any more."""
        for process in self.started:
            process.kill()
            process.wait()
        for file in (*self.folder.glob("hold_*"), *self.folder.glob("eat_*")):
            file.unlink()
        if self.cluster is not None and self._job_processes():
            self.cluster.cancel_all()
            self.wait_until_quiet()

    def _job_processes(self) -> list[psutil.Process]:
        if self.cluster is None:
            return []
        return [process for process in self.cluster.processes() if working_directory(process) == str(self.folder)]

    def shards(self, variant: str) -> dict[str, bytes]:
        """The bytes of a variant's maps, without what a killed writer has left (``.writing-*``)."""
        paths = (self.results / "cams").glob(f"{variant}-*/shards/[!.]*.h5")
        return {path.name: path.read_bytes() for path in paths}


def working_directory(process: psutil.Process) -> str:
    """Where a process works; nowhere if it is gone."""
    try:
        return process.cwd()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
