"""The GPUs of a workstation that a job computes on: leases by lock files, which end with the job, however it ends.

Snakemake counts GPUs (``--resources gpu=4``), but does not say which ones. SLURM does, for a whole allocation; several
jobs may run in it (``salloc``), so its GPUs are leased in the same way.
"""

import errno
import fcntl
import logging
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from wsss_core.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
FOLDER_VARIABLE = "WSSS_GPU_LEASES"
"""Environment variable: another folder for the lock files."""
FAKE_VARIABLE = "WSSS_FAKE_GPUS"
"""Environment variable for tests: names of invented GPUs, separated by commas ("": only SLURM's); jobs use the CPU."""
LEASES = Path("/tmp/wsss-gpu-leases")
"""One folder per machine, not per user (as ``$TMPDIR`` may be): all users of a workstation share its GPUs."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
DRIVER = Path("/proc/driver/nvidia/gpus")
log = logging.getLogger(__name__)
_promised: list[str] = []
"""What this process was given to compute on, in words; the last entry counts."""


def promised_gpus() -> str | None:
    """The GPUs that this job was given, in words; None if it was given none, or invented ones."""
    return _promised[-1] if _promised and FAKE_VARIABLE not in os.environ else None


@contextmanager
def leased_gpus(number: int) -> Iterator[None]:
    """Lease GPUs until the body, or this process, ends; torch sees only these. Waits while they are taken.

    Without any GPU nothing is leased: on a workstation the body runs without; SLURM has promised some. The previous
    ``CUDA_VISIBLE_DEVICES`` limits the choice. Must be entered before torch is used.

    Args:
        number: number of GPUs; with 0 torch sees none.

    Raises:
        UserError: there are GPUs, but fewer; or the folder of the leases cannot be used.
    """
    allocation = os.environ.get("SLURM_JOB_ID")
    gpus = usable_gpus() if allocation is None else _entries(os.environ.get(VISIBLE, ""))
    if number == 0:
        _show([])  # even if no GPU is known: SLURM hides GPUs only if its administrator configured that
        yield
        return
    if not gpus:
        with _promise(f"{number} of SLURM's GPUs" if allocation is not None else None):
            yield
        return
    if number > len(gpus):
        raise UserError(
            f"the job asks for {number} GPUs ('gpu' in the configuration's 'resources'), but only {len(gpus)} can be "
            f"used here ({', '.join(gpus)})"
        )
    prefix = "gpu"
    if allocation is not None:
        # GPU 0 may be a different one in the next allocation, and on another node, where a job continues after its
        # first node is lost (the folder may be on a disk that nodes share).
        prefix = f"slurm-{allocation}-{os.environ.get('SLURMD_NODENAME', '')}-gpu"
    leases, owner = _acquire(number, gpus, prefix), os.getpid()
    _show(leases)
    log.info("computing on GPU %s", ", ".join(leases))
    try:
        with _promise(f"GPU {', '.join(leases)}"):
            yield
    finally:
        if os.getpid() == owner:  # a fork that also leaves the body would release its parent's locks
            _release(leases.values())


@contextmanager
def _promise(gpus: str | None) -> Iterator[None]:
    """Let :func:`promised_gpus` return these while the body runs; None promises nothing."""
    added = [] if gpus is None else [gpus]
    _promised.extend(added)
    try:
        yield
    finally:
        del _promised[len(_promised) - len(added) :]


def _show(gpus: Iterable[str]) -> None:
    """Let torch, and processes that this one starts, see only these GPUs."""
    os.environ[VISIBLE] = ",".join(gpus)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # nvidia-smi's numbers; CUDA's own numbers start with the fastest


def usable_gpus() -> list[str]:
    """The GPUs that torch would find, without importing it.

    Returns:
        Numbers as in ``nvidia-smi``, or names of MIG instances, in the order of ``CUDA_VISIBLE_DEVICES`` if it is set.
    """
    uuids = _gpus_of_the_machine()
    if VISIBLE not in os.environ:
        return list(uuids)
    usable = []
    for entry in _entries(os.environ[VISIBLE]):
        meant = [gpu for gpu, uuid in uuids.items() if entry == gpu or (entry.startswith("GPU-") and entry in uuid)]
        if not meant and not (uuids and entry.startswith("MIG-")):
            break  # CUDA, too, ignores everything from the first unknown entry on
        usable += meant or [entry]
    return usable


def computes_on_gpus(device: str) -> bool:
    """Whether jobs that ask for a GPU will compute on one, as far as is known before they run.

    In a SLURM allocation, and if SLURM will start the jobs, ``auto`` cannot know and counts as no.

    Args:
        device: ``runtime.device``.
    """
    if device == "auto":
        return "SLURM_JOB_ID" not in os.environ and not fake_gpus() and bool(usable_gpus())
    return device == "cuda"


def fake_gpus() -> list[str]:
    """The names of a test's invented GPUs."""
    return _entries(os.environ.get(FAKE_VARIABLE, ""))


def _entries(names: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _gpus_of_the_machine() -> dict[str, str]:
    """The GPUs by their numbers, in the order of the bus, with UUIDs ("" if unknown)."""
    if fake := fake_gpus():
        return dict.fromkeys(fake, "")
    uuids = []
    for card in sorted(DRIVER.glob("*/information")):
        with suppress(OSError):
            facts = dict(re.findall(r"^(.+?):\s*(.+?)\s*$", card.read_text(), re.M))
            # A container sees the facts of all cards, but only the device files of its own.
            if os.access(f"/dev/nvidia{facts.get('Device Minor')}", os.R_OK | os.W_OK):
                uuids.append(facts.get("GPU UUID", ""))
    if not uuids and shutil.which("nvidia-smi"):  # WSL has no such files
        with suppress(OSError, subprocess.SubprocessError):
            listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
            uuids = re.findall(r"^GPU \d+: .*\(UUID: (GPU-[^)]+)\)", listed, re.M)
    return {str(number): uuid for number, uuid in enumerate(uuids)}


def _acquire(number: int, gpus: Sequence[str], prefix: str) -> dict[str, int]:
    """Lock the files of ``number`` of the GPUs. Returns the locked descriptor of each GPU."""
    folder = _lease_folder()
    reported = False
    while True:
        leases: dict[str, int] = {}
        for gpu in gpus:
            try:
                descriptor = _locked(folder / f"{prefix}-{gpu.replace('/', '_')}.lock")
            except OSError as error:
                _release(leases.values())
                raise _unusable(folder, error) from None
            if descriptor is not None:
                leases[gpu] = descriptor
            if len(leases) == number:
                return leases
        # All or none: two jobs that both need two GPUs, and each hold one, would wait forever.
        _release(leases.values())
        if not reported:
            log.info("waiting for %d of the GPUs %s: other jobs have leased the rest", number, ", ".join(gpus))
            reported = True
        time.sleep(random.uniform(0.3, 0.9))


def _locked(path: Path) -> int | None:
    """Lock a file that every account of the machine may lock.

    Not with the package filelock: 4.3 refuses another account's file in a folder such as /tmp.

    A lock file must not be removed while it is locked: the next job would lock a new one.

    Returns:
        The descriptor, which holds the lock until it is unlocked, or until this process and all its forks have ended;
        None while another process has it.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    while True:
        descriptor, locked = _opened(path), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Something may have cleaned /tmp since the file was opened; the next job would lock a new file.
            with suppress(FileNotFoundError):
                locked = os.path.samestat(os.fstat(descriptor), path.lstat())
        except BlockingIOError:
            return None
        finally:
            if not locked:
                os.close(descriptor)
        if locked:
            return descriptor


def _opened(path: Path) -> int:
    """Open a lock file; if there is none, make one that all accounts may open."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    while True:
        # Without O_CREAT first: in a folder such as /tmp, Linux refuses O_CREAT on another account's file
        # (fs.protected_regular).
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError), _for_all_accounts():
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)


def _release(leases: Iterable[int]) -> None:
    for descriptor in leases:
        with suppress(OSError):  # if the lock server is gone by now: the work is done and must not fail
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a forked process has a copy
        os.close(descriptor)


@contextmanager
def _for_all_accounts() -> Iterator[None]:
    """Files made in the body have their full mode from the start: no other account may see a narrower one."""
    previous = os.umask(0)
    try:
        yield
    finally:
        os.umask(previous)


def _lease_folder() -> Path:
    """The folder of the lock files, in which every user can create files."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, LEASES))
    try:
        with suppress(FileExistsError), _for_all_accounts():
            folder.mkdir(mode=0o1777)
        if folder.is_symlink() or not folder.is_dir():  # anyone can put anything into /tmp
            raise NotADirectoryError(0, "it is not a folder")
    except OSError as error:
        raise _unusable(folder, error) from None
    return folder


def _unusable(folder: Path, error: OSError) -> UserError:
    file = f"{error.filename}: " if error.filename and Path(error.filename) != folder else ""
    locks = "; its file system has no locks" if error.errno in _NO_LOCKS else ""
    return UserError(
        f"{folder}: GPUs cannot be leased there ({file}{error.strerror}{locks}); give another folder of this machine "
        f"in the environment variable {FOLDER_VARIABLE}, the same for all users"
    )
