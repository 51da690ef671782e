"""Leases of GPUs, with invented ones."""

import errno
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from wsss_core.errors import UserError
from wsss_core.jobs import gpu_lease
from wsss_core.jobs.gpu_lease import leased_gpus, usable_gpus

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import fcntl, os, pathlib, random, sys, time
from wsss_core.jobs.gpu_lease import leased_gpus

# A second lock, of another kind than flock, tells if another process holds the same GPU.
witness = [open(pathlib.Path(sys.argv[1]) / f"witness-{gpu}", "a") for gpu in range(4)]
print("ready", flush=True)
while True:
    number = random.choice([1, 1, 2])
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    with leased_gpus(number):
        gpus = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        assert len(set(gpus)) == number
        for gpu in gpus:
            fcntl.lockf(witness[int(gpu)], fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error if it is taken
        print("leased", *gpus, flush=True)
        time.sleep(random.uniform(0, 0.05))
        for gpu in gpus:
            fcntl.lockf(witness[int(gpu)], fcntl.LOCK_UN)
"""


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch, tmp_path):
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "SLURM_JOB_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("WSSS_FAKE_GPUS", "0,1,2,3")
    monkeypatch.setenv("WSSS_GPU_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(gpu_lease, "random", random.Random(0))


def visible():
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def forget():
    """As in another process that has no lease yet."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)


def holder(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_eight_jobs_killed_at_random_never_share_a_gpu(tmp_path, caplog):
    holders = [holder(tmp_path) for _ in range(8)]
    leases = killed = 0
    while killed < 20 or leases < 50:  # however long that takes on a busy machine
        time.sleep(random.uniform(0, 0.2))
        place = random.randrange(8)
        victim = holders[place]
        assert victim.poll() is None, victim.communicate()[1]
        victim.kill()
        leases += victim.communicate()[0].count("leased")
        killed += 1
        holders[place] = holder(tmp_path)
    for last in holders:
        assert last.poll() is None, last.communicate()[1]
        last.kill()
        leases += last.communicate()[0].count("leased")
    with caplog.at_level("INFO"), leased_gpus(4):
        assert visible() == "0,1,2,3"
    assert caplog.messages == ["computing on GPU 0, 1, 2, 3"]  # nothing to wait for: death has given all of them back


def test_jobs_get_different_gpus_and_return_them():
    with leased_gpus(1):
        assert visible() == "0" and os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        forget()
        with leased_gpus(2):
            assert visible() == "1,2"
        forget()
        with leased_gpus(3):
            assert visible() == "1,2,3"
    forget()
    with leased_gpus(4):
        assert visible() == "0,1,2,3"


def test_a_job_waits_while_all_are_taken_and_says_so(monkeypatch, caplog):
    def end_the_other_job(seconds):
        busy.kill()
        busy.wait()

    with caplog.at_level("INFO"):
        busy = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import time\nfrom wsss_core.jobs.gpu_lease import leased_gpus\n"
                "with leased_gpus(3): print('leased', flush=True); time.sleep(60)",
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        assert busy.stdout.readline() == b"leased\n"
        monkeypatch.setattr(gpu_lease.time, "sleep", end_the_other_job)  # when this one waits, and not before
        with leased_gpus(2):
            assert busy.returncode == -9
            assert visible() == "0,1"
    assert caplog.messages == [
        "waiting for 2 of the GPUs 0, 1, 2, 3: other jobs have leased the rest",
        "computing on GPU 0, 1",
    ]


def test_the_users_own_choice_limits_what_is_leased(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1")
    with leased_gpus(1):
        assert visible() == "3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    with pytest.raises(UserError, match=r"asks for 3 GPUs .*, but only 2 can be used here \(3, 1\)"), leased_gpus(3):
        pass
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        with leased_gpus(1):
            assert visible() == hidden


def test_what_slurm_allots_to_a_job_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    for allotted, number in (("0", 1), ("1,0", 2), ("GPU-aa", 1)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allotted)
        with leased_gpus(number):
            assert visible() == allotted


def test_where_slurm_allots_no_gpu_nothing_is_leased(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with leased_gpus(1):
        assert visible() is None
    assert not (tmp_path / "leases").exists()


def test_jobs_within_one_allocation_share_its_gpus(monkeypatch, tmp_path):
    """``salloc --gpus=2``, and snakemake in it."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with leased_gpus(1):
        assert visible() == "0"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with leased_gpus(1):
            assert visible() == "1"
        for variable, value in (("SLURM_JOB_ID", "18"), ("SLURMD_NODENAME", "n2")):
            monkeypatch.setenv(variable, value)
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")  # another GPU 0
            with leased_gpus(1):
                assert visible() == "0"
            monkeypatch.setenv("SLURM_JOB_ID", "17")


@pytest.mark.parametrize(("allotted", "number", "other"), [("0", 1, 1), ("0,1", 1, 2), ("0,1", 2, 1), ("0,1", 2, 2)])
def test_jobs_within_one_allocation_wait_for_each_other(monkeypatch, allotted, number, other):
    """Also where the allocation has exactly as many GPUs as a job asks for."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allotted)
    with leased_gpus(number):
        mine = visible().split(",")
        assert len(mine) == number
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allotted)
        code = (
            "import logging, os, sys\nfrom wsss_core.jobs.gpu_lease import leased_gpus\n"
            "logging.basicConfig(level='INFO', format='%(message)s', stream=sys.stdout)\n"
            f"with leased_gpus({other}): print('leased', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)"
        )
        beside = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        said = beside.stdout.readline()
        assert said.startswith(f"waiting for {other} of the GPUs"), said
        assert beside.poll() is None
    assert f"leased {','.join(allotted.split(',')[:other])}\n" in beside.communicate(timeout=60)[0]


def test_where_there_is_no_gpu_nothing_is_leased(monkeypatch, tmp_path):
    monkeypatch.setenv("WSSS_FAKE_GPUS", "")
    monkeypatch.setattr(gpu_lease, "DRIVER", tmp_path / "none")
    monkeypatch.setenv("PATH", "")
    with leased_gpus(2):
        assert visible() is None
    assert not (tmp_path / "leases").exists()


@pytest.mark.parametrize("allocation", [None, "17"])
def test_a_job_without_gpus_sees_none(allocation, monkeypatch, tmp_path):
    if allocation is not None:
        monkeypatch.setenv("SLURM_JOB_ID", allocation)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with leased_gpus(0):
        assert visible() == ""
    assert not (tmp_path / "leases").exists()


def test_the_drivers_cards_are_counted_in_the_order_of_the_bus(monkeypatch, tmp_path):
    monkeypatch.setenv("WSSS_FAKE_GPUS", "")
    monkeypatch.setattr(gpu_lease, "DRIVER", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/dev/nvidia7")  # not this container's
    for bus, minor, uuid in (
        ("0000:c1:00.0", 0, "GPU-aa"),
        ("0000:01:00.0", 2, "GPU-bb"),
        ("0000:41:00.0", 7, "GPU-c"),
    ):
        (tmp_path / bus).mkdir()
        facts = f"Model: \t\t NVIDIA A100\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
        (tmp_path / bus / "information").write_text(facts)
    assert usable_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-b")
    assert usable_gpus() == ["1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,5,0")
    assert usable_gpus() == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-aa/1/0")
    with leased_gpus(1):
        assert visible() == "MIG-aa/1/0"


def test_without_the_drivers_files_nvidia_smi_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("WSSS_FAKE_GPUS", "")
    monkeypatch.setattr(gpu_lease, "DRIVER", tmp_path / "none")
    listed = (
        "GPU 0: NVIDIA A100 (UUID: GPU-aa)\\n  MIG 1g.5gb Device 0: (UUID: MIG-x)\\nGPU 1: NVIDIA A100 (UUID: GPU-b)"
    )
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{listed}\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert usable_gpus() == ["0", "1"]


def test_the_folder_of_the_leases_is_everybodys(monkeypatch, tmp_path):
    previous = os.umask(0o077)
    try:
        with leased_gpus(1):
            assert (tmp_path / "leases").stat().st_mode & 0o7777 == 0o1777
            assert (tmp_path / "leases" / "gpu-0.lock").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(previous)


def test_a_folder_that_cannot_be_used_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link", "missing/leases"):
        monkeypatch.setenv("WSSS_GPU_LEASES", str(tmp_path / name))
        with pytest.raises(UserError, match=f"{name}: GPUs cannot be leased there .*WSSS_GPU_LEASES"), leased_gpus(1):
            pass


def as_another_user(uid, number, expected):
    """In a process of another account, lease GPUs; those expected are to be had."""
    child = os.fork()
    if child == 0:
        os.setuid(uid)
        forget()
        with leased_gpus(number):
            os._exit(0 if visible() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def everybodys_folder(monkeypatch):
    """A folder for leases that other accounts reach, as pytest's are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setenv("WSSS_GPU_LEASES", f"{folder}/leases")
        yield Path(folder) / "leases"


becomes_others = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")


@becomes_others
def test_two_users_do_not_share_a_gpu(everybodys_folder):
    with leased_gpus(1):
        assert visible() == "0"
        as_another_user(65534, 1, "1")
    forget()
    with leased_gpus(2):  # the file of GPU 1 is the other user's
        assert visible() == "0,1"


@becomes_others
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_gpu_is_leased_by_one_user_after_the_other(everybodys_folder, umask):
    """No matter which of them made the folder, and which the file."""
    previous = os.umask(umask)
    try:
        with leased_gpus(1):
            pass
        for uid in (65534, 65533):
            as_another_user(uid, 4, "0,1,2,3")
        forget()
        owners = [(everybodys_folder / f"gpu-{gpu}.lock").stat().st_uid for gpu in range(4)]
        assert owners == [0, 65534, 65534, 65534]
        with leased_gpus(4):
            assert visible() == "0,1,2,3"
    finally:
        os.umask(previous)


def test_a_lock_file_that_was_removed_is_no_lease(monkeypatch, tmp_path):
    """As by a cleaner of /tmp, between opening and locking."""
    opened = gpu_lease._opened
    removed = []

    def removed_after_opening(path):
        descriptor = opened(path)
        if not removed:
            removed.append(path)
            path.unlink()
        return descriptor

    monkeypatch.setattr(gpu_lease, "_opened", removed_after_opening)
    with leased_gpus(1):
        assert visible() == "0" and [path.name for path in removed] == ["gpu-0.lock"]
        forget()
        with leased_gpus(1):
            assert visible() == "1"


def test_a_link_in_place_of_a_lock_file_is_not_followed(tmp_path):
    (tmp_path / "leases").mkdir()
    (tmp_path / "elsewhere").touch()
    (tmp_path / "leases/gpu-0.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"leases: GPUs cannot be leased there .*/gpu-0\.lock: "), leased_gpus(1):
        pass


def test_a_lock_file_that_cannot_be_opened_is_named_and_nothing_stays_leased(tmp_path):
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases/gpu-1.lock").mkdir()
    with pytest.raises(UserError, match=r"gpu-1\.lock: Is a directory"), leased_gpus(2):
        pass
    with leased_gpus(1):
        assert visible() == "0"


def in_a_fork(function):
    """Call a function in a fork of this process, and wait for it."""
    child = os.fork()
    if child == 0:
        try:
            function()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_a_fork_that_leaves_the_body_does_not_return_its_parents_gpu():
    with ExitStack() as stack:
        stack.enter_context(leased_gpus(1))
        in_a_fork(stack.close)
        forget()
        with leased_gpus(1):
            assert visible() == "1"


def test_a_fork_that_lives_on_does_not_keep_a_returned_gpu():
    with leased_gpus(1):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # until the pipe is closed
            os._exit(0)
        os.close(read)
    forget()
    with leased_gpus(1):
        assert visible() == "0"
    os.close(write)
    os.waitpid(child, 0)


def test_a_gpu_that_is_named_twice_is_one(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,1")
    with pytest.raises(UserError, match="only 1 can be used here"), leased_gpus(2):
        pass


def test_where_files_cannot_be_locked_the_folder_is_named(monkeypatch, tmp_path):
    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(gpu_lease.fcntl, "flock", no_locks)
    open_before = len(os.listdir("/proc/self/fd"))
    said = f"leases: GPUs cannot be leased there .{os.strerror(errno.ENOLCK)}; its file system has no locks"
    with pytest.raises(UserError, match=said), leased_gpus(1):
        pass
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_locks_that_fail_at_the_end_do_not_undo_the_work(monkeypatch):
    flock = gpu_lease.fcntl.flock

    def gone(descriptor, operation):
        if operation == gpu_lease.fcntl.LOCK_UN:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        flock(descriptor, operation)

    monkeypatch.setattr(gpu_lease.fcntl, "flock", gone)
    open_before = len(os.listdir("/proc/self/fd"))
    with leased_gpus(1):
        pass
    assert len(os.listdir("/proc/self/fd")) == open_before
