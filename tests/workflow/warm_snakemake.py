"""Snakemake in a process that has imported torch and Snakemake already, and so have the jobs: they are forks of it.

A job of a test computes for tenths of a second; importing torch takes it two, and Snakemake itself one. Everything else
is as users have it: Snakemake's own command line, a process a job, its script run as ``__main__``. That jobs import what
they need, and begin and end as processes of their own, is for tests that start Snakemake the usual way (``tests/kills``,
``tests/slurm``, ``test_gpus.py``, the slow ones).

Run as a program, this is the process that others are forked from. It reads requests from standard input, a line of JSON
each, one after the other.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import wsss_core


class WarmSnakemake:
    """Runs Snakemake's command line in forks of a warm process."""

    def __init__(self) -> None:
        """Start the process that is forked."""
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.workflow.warm_snakemake"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **one_thread},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that `select` knows of every line that has not been read
        )
        atexit.register(self.close)

    def run(self, arguments: list[str], umask: int, seconds: float) -> "subprocess.CompletedProcess[str]":
        """Run ``snakemake`` with these arguments, in today's folder and environment.

        Raises:
            subprocess.TimeoutExpired: it took longer; it and its jobs are killed.
        """
        with tempfile.NamedTemporaryFile() as output:
            environment = dict(os.environ)
            pid = self._ask([arguments, os.getcwd(), environment, umask, output.name])
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                os.killpg(pid, signal.SIGKILL)
                self._answer()
                raise subprocess.TimeoutExpired(arguments, seconds, output.read())
            return subprocess.CompletedProcess(arguments, self._answer(), output.read().decode())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request: list[Any]) -> int:
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return self._answer()

    def _answer(self) -> int:
        return int(self._process.stdout.readline())


def serve() -> None:
    """Fork for every request; answer with the process's id, and when it has ended with its exit status."""
    import_all()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run_snakemake(*json.loads(line))
        with suppress(OSError):  # the fork does it too: the first of the two makes the group
            os.setpgid(pid, pid)
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


def import_all() -> None:
    """Import what takes time, in Snakemake and in jobs: our package, and so what it uses."""
    import snakemake.cli
    from snakemake.script import PythonScript

    for module in pkgutil.walk_packages(wsss_core.__path__, "wsss_core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    import matplotlib.backends.backend_agg
    import pydensecrf.densecrf
    import scipy.ndimage
    import scipy.sparse.linalg
    import torchvision.transforms.v2.functional

    PythonScript.execute_script = execute_script
    gc.collect()
    gc.freeze()  # forks need not look through all of it for garbage


def run_snakemake(arguments: list[str], folder: str, environment: dict[str, str], umask: int, output: str) -> None:
    """Become Snakemake, in a process group of its own; does not return."""
    from snakemake.cli import main

    os.setpgid(0, 0)
    descriptor = os.open(output, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.umask(umask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    end_with(main)


def execute_script(self: Any, file: str, edit: bool = False) -> None:
    """In place of Snakemake's: run a rule's script in a fork, not by a new Python."""
    from snakemake.benchmark import benchmarked

    pid = os.fork()
    if pid == 0:
        import runpy

        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = [file]
        end_with(lambda: runpy.run_path(file, run_name="__main__"))
    with benchmarked(pid, self.bench_record):
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise subprocess.CalledProcessError(status, f"{sys.executable} {file}")


def end_with(function: Any) -> None:
    """Call a function, and end this process as Python ends that has done so."""
    import multiprocessing.util

    status = 0
    try:
        function()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        multiprocessing.util._exit_function()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
