"""Running the workflow on a small copy of the demo, in a folder of its own."""

import copy
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests import warm_python
from wsss_core.config.stages import DEFAULT_RESOURCES

REPOSITORY = Path(__file__).parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
TEAM_UMASK = 0o002
"""Of who shares results with a group: new files are the group's to read and write."""
BRIEF = {"epochs": 2, "batch_size": 8}


def small_demo(*experiments: str) -> dict[str, Any]:
    """The demo's configuration with fewer and smaller images, scales, steps and epochs.

    Args:
        experiments: those that are kept, or maps to be drawn; by default two methods and the upper bound.
    """
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config["dataset"]["generate"] = {"train_images": 80, "val_images": 10, "size": 48, "seed": 3}
    for backbone in config["backbones"].values():
        backbone["pretext"] = {"images": 64, "size": 32, "optimisation": {"epochs": 1}}
    for classifier in config["classifiers"].values():
        if "optimisation" in classifier:
            classifier["optimisation"] = {**classifier["optimisation"], **BRIEF, "epochs": 3}
            classifier["augmentation"] = {**classifier.get("augmentation", {}), "crop": 48}
    config["classifiers"]["aeft"]["warmup_epochs"] = 1
    for cams in config["cams"].values():
        if "scales" in cams:
            cams["scales"] = [1.0]
    config["cams"]["advcam"]["steps"] = 3
    for section, name in (("affinities", "affinitynet"), ("affinities", "irn"), ("segmenters", "deeplab")):
        config[section][name]["optimisation"].update(BRIEF)
        config[section][name]["augmentation"]["crop"] = 48
    config["experiments"] = {
        name: config["experiments"].get(name, {"cams": name}) for name in experiments or ("cam", "advcam", "full")
    }
    config["runtime"]["shards"] = 1
    # A second thread costs such small networks more than it gives; two jobs run at a time instead.
    config["resources"] = {rule: {**asked.model_dump(), "threads": 1} for rule, asked in DEFAULT_RESOURCES.items()}
    return config


@dataclass
class Workflow:
    """A working directory with a configuration, and what ``snakemake`` says in it."""

    folder: Path
    config: dict[str, Any] = field(default_factory=small_demo)
    warm: bool = field(default=True, kw_only=True)
    """Fork Snakemake and jobs from a process that has imported what they need, rather than start them as users do."""

    @property
    def results(self) -> Path:
        """Where everything that is made lies."""
        return self.folder / "results" / self.config["dataset"]["name"]

    def command(self, *arguments: str) -> list[str]:
        """The command line, with the configuration written to the folder."""
        return [*SNAKEMAKE, *self.options(*arguments)]

    def options(self, *arguments: str) -> list[str]:
        """What comes after ``snakemake`` on the command line; writes the configuration to the folder."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        snakefile = ["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"]
        # Not the last option: --configfile takes several values, and would take a target for one.
        return [*snakefile, "--configfile", str(path), "--directory", str(self.folder), *arguments]

    def run(self, *arguments: str, seconds: float = 600) -> str:
        """Run to the end; the output. An error of Snakemake is one of the test."""
        result = self.attempt(*arguments, seconds=seconds)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def attempt(self, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever it is, or for so many seconds."""
        if self.warm:
            return self._attempt_warm(seconds, *arguments)
        return subprocess.run(
            self.command(*arguments),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            umask=TEAM_UMASK,
        )

    def _attempt_warm(self, seconds: float, *arguments: str) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output.txt"
            process = warm_python.start(["snakemake", *self.options(*arguments)], output, TEAM_UMASK)
            try:
                status = process.wait(seconds)
            finally:
                process.kill_group()
            return subprocess.CompletedProcess(process.args, status, output.read_text())

    def planned(self, *arguments: str) -> dict[str, int]:
        """The rules that a dry run would run, with the number of jobs."""
        output = self.run("--dry-run", *arguments)
        if "Nothing to be done" in output:
            return {}
        stats = re.search(r"Job stats:\n(.*?)\ntotal ", output, re.S)
        assert stats is not None, output
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+) *$", stats[1], re.M)}

    def changed(self) -> "Workflow":
        """The same folder with a copy of the configuration, to be changed."""
        return replace(self, config=copy.deepcopy(self.config))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start without waiting; the output goes to ``snakemake.log``."""
        with open(self.folder / "snakemake.log", "w") as log:
            return subprocess.Popen(self.command(*arguments), stdout=log, stderr=subprocess.STDOUT, text=True)


class TooLateError(AssertionError):
    """The process ended before the moment that was waited for was seen."""


def wait_for(condition: Any, process: "subprocess.Popen[str]", seconds: float = 120) -> Any:
    """Poll until ``condition()`` is true while ``process`` runs; its value.

    Raises:
        TooLateError: the process ended first.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        if process.poll() is not None:
            raise TooLateError("snakemake ended before the moment that was waited for")
        time.sleep(0.005)
    raise AssertionError(f"did not happen within {seconds} s")


def job_processes(process: "subprocess.Popen[str]", script: str) -> list[psutil.Process]:
    """The running jobs of a script among the descendants of ``process``."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if any(f"{script}.py" in argument for argument in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
