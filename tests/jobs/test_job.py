"""What surrounds a job, in a process of its own."""

import os
import subprocess
import sys

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
