"""Starting, watching and killing the small training."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("small_training.py")


def start(folder: Path, gpus: int = 1, **options) -> "subprocess.Popen[str]":
    """Start the small training in a process group of its own; its output goes to ``output.txt``."""
    return start_script(SCRIPT, folder, gpus, json.dumps(options))


def start_script(script: Path, folder: Path, gpus: int, *arguments: str) -> "subprocess.Popen[str]":
    """Start a script that is a job with so many invented GPUs."""
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "WSSS_FAKE_GPUS": ",".join(map(str, range(gpus))),
        "WSSS_GPU_LEASES": str(folder / "leases"),
    }
    with open(folder / "output.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, str(script), str(folder), str(gpus), *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def run(folder: Path, gpus: int = 1, **options) -> int:
    """The training's exit status."""
    return start(folder, gpus, **options).wait(timeout=300)


def log_of(folder: Path) -> str:
    path = folder / "log.txt"
    return path.read_text() if path.exists() else ""


def wait_for_line(folder: Path, line: str, process: "subprocess.Popen[str]", seconds: float = 120) -> None:
    """Wait until the log or the output has this text."""
    end = time.monotonic() + seconds
    while line not in log_of(folder) + (folder / "output.txt").read_text():
        assert process.poll() is None and time.monotonic() < end, (folder / "output.txt").read_text() + log_of(folder)
        time.sleep(0.005)


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The process and all its descendants."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def wait_until_gone(processes: list[psutil.Process], seconds: float = 15) -> None:
    """All of these processes have ended, within this time."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def results_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("weights.safetensors", "training.csv")]
