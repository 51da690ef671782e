"""What surrounds a job, in a process of its own."""

import os
import subprocess
import sys

import psutil
import pytest

CODE = """
import os, sys
from wsss_core.jobs.job import in_job

with in_job(sys.argv[1], threads=int(sys.argv[2])):
    import torch
    print(torch.get_num_threads(), os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_keep_to_the_jobs_threads(tmp_path, threads):
    command = [sys.executable, "-c", CODE, str(tmp_path / "log.txt"), str(threads)]
    result = subprocess.run(command, text=True, capture_output=True)
    of_torch = min(threads, os.cpu_count())  # torch takes no more threads than there are cores
    assert (result.returncode, result.stdout.split()) == (0, [str(of_torch), str(threads)]), result.stderr


RECORD_FAILS = """
import sys
from pathlib import Path
from wsss_core.jobs.job import in_job

folder = Path(sys.argv[1])
with in_job(folder / "log.txt", 1, {"stage": "test"}, folder / "artifact"):
    (folder / "artifact").write_text("weights")  # in the place of the folder: no provenance can be written
"""


def test_a_job_whose_provenance_cannot_be_written_has_succeeded(tmp_path):
    result = subprocess.run([sys.executable, "-c", RECORD_FAILS, str(tmp_path)], text=True, capture_output=True)
    assert result.returncode == 0 and (tmp_path / "artifact").read_text() == "weights"
    assert "provenance.json lacks this job, whose work is done: " in result.stderr
    assert "Traceback" not in result.stderr and "done in" in (tmp_path / "log.txt").read_text()


LEAVES_A_PROCESS = """
import multiprocessing, signal, sys, time
from wsss_core.errors import UserError
from wsss_core.jobs.job import in_job

def endless(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    time.sleep(600)

with in_job(sys.argv[1], 1):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=endless, args=(ready,), daemon=True)
    process.start()
    ready.wait()
    print(process.pid, flush=True)
    raise {"user": UserError, "fault": ValueError, "end": SystemExit}[sys.argv[2]]("the end")
"""


@pytest.mark.parametrize("how", ["user", "fault", "end"])
def test_the_processes_of_a_job_end_with_it(tmp_path, how):
    """Python would wait forever for one that ignores SIGTERM."""
    command = [sys.executable, "-c", LEAVES_A_PROCESS, str(tmp_path / "log.txt"), how]
    result = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert result.returncode == 1 and not psutil.pid_exists(int(result.stdout))
