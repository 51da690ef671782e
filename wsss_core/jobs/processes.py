"""The processes of a training on several GPUs: the job's own, and others that run its script again.

As with torchrun, every process runs the same script. Here the first process is the Snakemake job itself: it writes the
files, its log and exit status are the job's, and the others end with it, however it ends.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wsss_core.errors import UserError
from wsss_core.files.signals import ignore_signals, kill_worker_processes
from wsss_core.jobs.gpu_lease import fake_gpus
from wsss_core.jobs.run import PLACE

if TYPE_CHECKING:  # importing torch takes seconds, and jobs with one process may not need it
    from torch.distributed import TCPStore

_FAILURE, _DONE = "failure", "done"
_SECONDS_TO_HEAR = 5
log = logging.getLogger(__name__)


def place_in_words() -> str:
    """Which of the processes this is, for messages (``process 2 of 4``)."""
    number, total, _ = os.environ[PLACE].split()
    return f"process {int(number) + 1} of {total}"


@contextmanager
def training_processes(gpus: int) -> Iterator[None]:
    """Run the body, a training, in a group of processes, one per GPU.

    Args:
        gpus: GPUs that the job asks for; if torch finds fewer, there are fewer processes.

    Raises:
        UserError: another process failed; the message is its message.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # every process would warn about what is known here
    import torch
    from torch.distributed import TCPStore, destroy_process_group

    processes = gpus if fake_gpus() else min(gpus, torch.cuda.device_count())
    if processes <= 1:
        log.info("training in one process: torch finds %d of %d GPUs", torch.cuda.device_count(), gpus)
        yield
        return
    store = TCPStore("127.0.0.1", 0, processes, is_master=True, wait_for_workers=False)
    others = []
    over = threading.Event()
    try:
        for number in range(1, processes):
            place = {PLACE: f"{number} {processes} {store.port}"}
            # The other process ends when its standard input does, which the kernel closes when this process dies.
            others.append(
                subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, **place}, stdin=subprocess.PIPE)
            )
        # A separate connection, as waiting for something in the store blocks a connection.
        watched = TCPStore("127.0.0.1", store.port, processes, is_master=False, wait_for_workers=False)
        threading.Thread(target=_end_with_the_first_failure, args=(others, watched, over), daemon=True).start()
        _join(store, 0, processes)
        log.info("training in %d processes", processes)
        yield
        store.set(_DONE, "")
        destroy_process_group()
    except UserError:
        raise
    except Exception as error:
        failure = _failure(others, store, _SECONDS_TO_HEAR)
        if failure is None:
            raise
        raise UserError(failure) from error
    finally:
        over.set()  # from here on, it does not matter how the others end
        for other in others:
            other.kill()


@contextmanager
def joined_training(log_file: Path) -> Iterator[None]:
    """Run the body as one of the other processes; if it fails, the first process learns why.

    Args:
        log_file: the job's log, which also gets this process's warnings.
    """
    file = logging.FileHandler(log_file, mode="a", encoding="utf-8")
    file.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {place_in_words()}: %(message)s"))
    file.setLevel(logging.WARNING)
    logging.getLogger().handlers = [file]
    from torch.distributed import TCPStore, destroy_process_group

    ignore_signals()  # the first process decides when to stop
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    number, processes, port = map(int, os.environ[PLACE].split())
    store = TCPStore("127.0.0.1", port, processes, is_master=False)
    try:
        _join(store, number, processes)
        yield
        store.wait([_DONE], timedelta(days=100))  # the first process has files to write, and maybe more to compute
        destroy_process_group()
    except UserError as error:
        store.set(_FAILURE, f"{error} ({place_in_words()})")
        sys.exit(1)
    except Exception:
        log.exception("This is a fault of the program, not of your data:")
        store.set(_FAILURE, f"{place_in_words()} failed because of a fault of the program; the log has its traceback")
        sys.exit(1)
    finally:
        kill_worker_processes()


def _join(store: "TCPStore", number: int, processes: int) -> None:
    import torch
    from torch.distributed import init_process_group

    if torch.cuda.is_available():
        torch.cuda.set_device(number)  # what "cuda" means from now on
        init_process_group("cpu:gloo,cuda:nccl", store=store, rank=number, world_size=processes)
    else:
        init_process_group("gloo", store=store, rank=number, world_size=processes)


def _failure(others: "list[subprocess.Popen[bytes]]", store: "TCPStore", seconds: float) -> str | None:
    """Why another process failed, if it reports that or dies within ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        if store.check([_FAILURE]):
            return store.get(_FAILURE).decode()
        for number, other in enumerate(others, start=2):
            if other.poll():
                return (
                    f"process {number} of {len(others) + 1} of this training died (status {other.returncode}); the "
                    "usual cause is too little memory: more 'mem_mb' or fewer 'workers' helps"
                )
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def _end_with_the_first_failure(
    others: "list[subprocess.Popen[bytes]]", store: "TCPStore", over: threading.Event
) -> None:
    """End this process some time after another one has failed: NCCL may wait for that one for minutes."""
    while not any(other.poll() for other in others) and not over.wait(1):
        pass
    if not over.is_set():
        over.wait(2 * _SECONDS_TO_HEAR)  # usually the main thread notices and reports it
        if not over.is_set():
            log.error("%s", _failure(others, store, 0))
            kill_worker_processes()
            os._exit(1)


def _end_with_standard_input() -> None:
    os.read(0, 1)  # not sys.stdin: processes that are forked meanwhile would hold its lock forever
    kill_worker_processes()
    os._exit(1)
