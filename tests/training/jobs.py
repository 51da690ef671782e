"""Starting, watching and killing the small training."""

import json
import time
from pathlib import Path

import psutil
import pytest

from tests import warm_python
from tests.warm_python import WarmProcess

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("small_training.py")


def start(folder: Path, gpus: int = 1, **options) -> WarmProcess:
    """Start the small training in a process group of its own; its output goes to ``output.txt``."""
    return start_script(SCRIPT, folder, gpus, json.dumps(options))


def start_script(script: Path, folder: Path, gpus: int, *arguments: str) -> WarmProcess:
    """Start a script that is a job with so many invented GPUs."""
    folder.mkdir(exist_ok=True)
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "WSSS_FAKE_GPUS": ",".join(map(str, range(gpus))),
        "WSSS_GPU_LEASES": str(folder / "leases"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return warm_python.start([str(script), str(folder), str(gpus), *arguments], folder / "output.txt")


def run(folder: Path, gpus: int = 1, **options) -> int:
    """The training's exit status."""
    return start(folder, gpus, **options).wait(timeout=300)


def log_of(folder: Path) -> str:
    path = folder / "log.txt"
    return path.read_text() if path.exists() else ""


def wait_for_line(folder: Path, line: str, process: WarmProcess, seconds: float = 120) -> None:
    """Wait until the log or the output has this text."""
    end = time.monotonic() + seconds
    ended = False
    while line not in log_of(folder) + (folder / "output.txt").read_text():
        assert not ended and time.monotonic() < end, (folder / "output.txt").read_text() + log_of(folder)
        ended = process.poll() is not None  # what it said last is read once more
        time.sleep(0.005)


def release(folder: Path) -> None:
    """Let a training that holds go on."""
    (folder / "go").touch()


def family(process: WarmProcess) -> list[psutil.Process]:
    """The process and all its descendants."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def wait_until_gone(processes: list[psutil.Process], seconds: float = 15) -> None:
    """All of these processes have ended, within this time."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def results_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("weights.safetensors", "training.csv")]
