"""A process that has imported torch, Snakemake and our package, and is forked for every script that a test runs.

A job of a test computes for tenths of a second, and importing torch takes seconds. A fork starts at once. Snakemake in
a fork in turn forks its jobs. Apart from that it is as for users: Snakemake's own command line, one process a job, its
script run as ``__main__``.

Forks share what a new Python would have of its own: imported modules, the seed of hashes, and one thread for torch,
whatever a job asks for. ``tests/kills`` starts Snakemake as users do (``warm=False``): there, one experiment goes from
images to predictions.

It reads requests from standard input, a line of JSON each: the arguments of :func:`become`.
"""

import gc
import importlib
import json
import multiprocessing.util
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import snakemake.cli
import snakemake.script
from snakemake.benchmark import benchmarked

import wsss_core

IMPORTED_LATE = (
    "matplotlib.backends.backend_agg",
    "pydensecrf.densecrf",
    "scipy.ndimage",
    "scipy.sparse.linalg",
    "torchvision.transforms.v2.functional",
)
"""What our package imports only where it is used."""


_ONE_FORK_AT_A_TIME = threading.Lock()
_running: set[int] = set()


def serve() -> None:
    """Fork for every request; answer with the process's id. Its exit status goes to ``<output>.status``.

    Ends when there will be no more requests, and then ends what still runs, with all that it has started.
    """
    import_all()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this process
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(**request)
        _running.add(pid)
        threading.Thread(target=note_end, args=(pid, Path(request["output"])), daemon=True).start()
        print(pid, flush=True)
    for pid in list(_running):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def note_end(pid: int, output: Path) -> None:
    """Wait until a fork has ended, and write down how."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _running.discard(pid)
    written = output.with_suffix(".writing")
    written.write_text(str(status))
    written.rename(output.with_suffix(".status"))


def import_all() -> None:
    """Import what takes time, in Snakemake and in jobs."""
    package = [module.name for module in pkgutil.walk_packages(wsss_core.__path__, "wsss_core.")]
    for module in (*(name for name in package if not name.endswith("__main__")), *IMPORTED_LATE):
        importlib.import_module(module)
    snakemake.script.PythonScript.execute_script = execute_script
    gc.collect()
    gc.freeze()  # forks need not look through all of it for garbage


def become(arguments: list[str], folder: str, environment: dict[str, str], umask: int, output: str) -> NoReturn:
    """Become the process of a command line, the leader of a session.

    Args:
        arguments: a script and its arguments; or those of ``snakemake``, that first.
        folder: to run in.
        environment: all variables.
        umask: its mask for the modes of new files.
        output: file for standard output and errors.
    """
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.umask(umask)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.seed()  # forks would draw the same numbers, which hides that a seed is missing
    run_as_main(arguments)


def run_as_main(arguments: list[str]) -> NoReturn:
    """Run a command line, and end this process, after its worker processes and threads.

    Unlike a Python of its own it leaves out what was registered with ``atexit``, which may be Snakemake's.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = arguments
    status = 0
    try:
        if arguments[0] == "snakemake":
            snakemake.cli.main()
        else:
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        multiprocessing.util._exit_function()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def execute_script(self: Any, file: str, edit: bool = False) -> None:
    """In place of Snakemake's method: run a rule's script in a fork, not by a new Python."""
    with _ONE_FORK_AT_A_TIME:  # filelock, which libraries import, allows no two
        pid = os.fork()
    if pid == 0:
        run_as_main([file])
    with benchmarked(pid, self.bench_record):
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise subprocess.CalledProcessError(status, f"{sys.executable} {file}")


if __name__ == "__main__":
    serve()
