"""SIGTERM, SIGINT and SIGKILL while a network is trained by one process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.training.jobs import (
    REPOSITORY,
    family,
    log_of,
    release,
    results_of,
    run,
    start,
    wait_for_line,
    wait_until_gone,
)

pytestmark = pytest.mark.xdist_group("signals")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert run(folder, dropout=0.3) == 0
    return results_of(folder)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 0), (signal.SIGTERM, 2), (signal.SIGINT, 0)])
def test_a_warned_training_goes_on_from_its_very_step(tmp_path, unbroken, dice, number, workers):
    """The whole group is signalled, loading processes too, as SLURM (or a terminal) does."""
    step = dice.randrange(4)  # after the last of five, the epoch is done
    process = start(tmp_path, dropout=0.3, hold=[1, step], workers=workers)
    wait_for_line(tmp_path, "holds", process)
    processes = family(process)
    os.killpg(process.pid, number)
    release(tmp_path)
    assert process.wait(timeout=60) == 128 + number
    wait_until_gone(processes)
    assert f"training: stopped by a signal in epoch 2, step {step + 1}" in log_of(tmp_path)
    assert f"stopped by {number.name}; the same command continues from here" in log_of(tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()
    assert not list(tmp_path.rglob(".writing-*"))
    assert run(tmp_path, dropout=0.3) == 0
    assert "continuing after epoch 1 and" in log_of(tmp_path) and "and 0 steps" not in log_of(tmp_path)
    assert results_of(tmp_path) == unbroken


def test_warnings_at_random_moments(tmp_path, unbroken, dice):
    ends = []
    for _ in range(3):
        process = start(tmp_path, dropout=0.3, pause=0.02)
        wait_for_line(tmp_path, "process 0 trains", process)
        time.sleep(dice.uniform(0, 0.2))
        process.send_signal(signal.SIGTERM)
        ends.append(process.wait(timeout=60))
    assert set(ends) <= {0, 128 + signal.SIGTERM}
    assert run(tmp_path, dropout=0.3) == 0
    assert results_of(tmp_path) == unbroken


def test_a_warning_before_training_ends_the_job_at_once(tmp_path):
    process = start(tmp_path, hold="before training")
    wait_for_line(tmp_path, "holds", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not (tmp_path / ".partial").exists()


def test_a_warning_while_the_log_is_set_up_stands_in_the_log(tmp_path):
    code = (
        "import logging, os, signal\nfrom wsss_core.jobs.job import in_job\n"
        "create = logging.FileHandler\n"
        "def interrupted(*arguments, **keywords):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return create(*arguments, **keywords)\n"
        "logging.FileHandler = interrupted\n"
        f"with in_job({str(tmp_path / 'log.txt')!r}, 1): print('begun')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE)
    assert result.returncode == 128 + signal.SIGTERM and result.stdout == ""
    assert "stopped by SIGTERM" in log_of(tmp_path)
