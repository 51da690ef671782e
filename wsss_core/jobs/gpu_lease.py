"""Which GPUs of a workstation a job computes on: leases by lock files, which end with the job, however it ends.

Snakemake counts GPUs (``--resources gpu=4``), but does not say which. SLURM does, for all that runs in an allocation:
what it has allotted is leased in the same way, as several jobs may run in it (``salloc``).
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
"""Environment variable for tests: names, with commas, of GPUs that are none ("": only SLURM's); jobs use the CPU."""
LEASES = Path("/tmp/wsss-gpu-leases")
"""Of the machine, not of the user (as ``$TMPDIR`` may be): all users of a workstation share its GPUs."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
DRIVER = Path("/proc/driver/nvidia/gpus")
log = logging.getLogger(__name__)
_promised: list[str] = []
"""What this process was given to compute on, in words; the last counts."""


def promised_gpus() -> str | None:
    """The GPUs that this job was given, in words; None if it was given none, or invented ones."""
    return _promised[-1] if _promised and FAKE_VARIABLE not in os.environ else None


@contextmanager
def leased_gpus(number: int) -> Iterator[None]:
    """Lease GPUs until the body, or this process, ends; torch sees these only. Waits while they are taken.

    Nothing is leased where there is no GPU: on a workstation, the body has to do without; SLURM has promised some.
    ``CUDA_VISIBLE_DEVICES`` as it was limits the choice. Has to be entered before torch is used.

    Args:
        number: how many GPUs; with 0 torch sees none.

    Raises:
        UserError: there are GPUs, but not as many; or the folder of the leases cannot be used.
    """
    allocation = os.environ.get("SLURM_JOB_ID")
    gpus = usable_gpus() if allocation is None else _entries(os.environ.get(VISIBLE, ""))
    if number == 0:
        _show([])  # also where none is known of: SLURM hides GPUs only where its administrator has it do so
        yield
        return
    if not gpus:
        with _promise(f"{number} of SLURM's GPUs" if allocation is not None else None):
            yield
        return
    if number > len(gpus):
        raise UserError(
            f"the job asks for {number} GPUs ('gpu' in the configuration's 'resources'), and only {len(gpus)} can be "
            f"used here ({', '.join(gpus)})"
        )
    prefix = "gpu"
    if allocation is not None:
        # GPU 0 of one allocation may be another one than that of the next; and of one node than of another, where a
        # job goes on whose first node is lost (the folder may be on a disk that nodes share).
        prefix = f"slurm-{allocation}-{os.environ.get('SLURMD_NODENAME', '')}-gpu"
    leases, owner = _acquire(number, gpus, prefix), os.getpid()
    _show(leases)
    log.info("computing on GPU %s", ", ".join(leases))
    try:
        with _promise(f"GPU {', '.join(leases)}"):
            yield
    finally:
        if os.getpid() == owner:  # a fork that leaves the body, too, would unlock what is its parent's
            _release(leases.values())


@contextmanager
def _promise(gpus: str | None) -> Iterator[None]:
    """Let :func:`promised_gpus` tell of these while the body runs; None promises nothing."""
    told = [] if gpus is None else [gpus]
    _promised.extend(told)
    try:
        yield
    finally:
        del _promised[len(_promised) - len(told) :]


def _show(gpus: Iterable[str]) -> None:
    """Let torch, and processes that this one starts, see these GPUs only."""
    os.environ[VISIBLE] = ",".join(gpus)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # nvidia-smi's numbers; CUDA's own begin with the fastest


def usable_gpus() -> list[str]:
    """The GPUs that torch would find, without importing it.

    Returns:
        Numbers as of ``nvidia-smi``, or names of MIG instances, in the order of ``CUDA_VISIBLE_DEVICES``, if it is
        set.
    """
    uuids = _gpus_of_the_machine()
    if VISIBLE not in os.environ:
        return list(uuids)
    usable = []
    for entry in _entries(os.environ[VISIBLE]):
        meant = [gpu for gpu, uuid in uuids.items() if entry == gpu or (entry.startswith("GPU-") and entry in uuid)]
        if not meant and not (uuids and entry.startswith("MIG-")):
            break  # CUDA, too, sees nothing from the first unknown entry on
        usable += meant or [entry]
    return usable


def computes_on_gpus(device: str) -> bool:
    """Whether jobs that ask for a GPU are going to compute on one, as far as is known before they run.

    In an allocation of SLURM's, and where SLURM is going to start the jobs, ``auto`` cannot know, and counts as no.

    Args:
        device: ``runtime.device``.
    """
    if device == "auto":
        return "SLURM_JOB_ID" not in os.environ and not fake_gpus() and bool(usable_gpus())
    return device == "cuda"


def fake_gpus() -> list[str]:
    """Names that a test gives GPUs that are none."""
    return _entries(os.environ.get(FAKE_VARIABLE, ""))


def _entries(names: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _gpus_of_the_machine() -> dict[str, str]:
    """The GPUs by their numbers, in the order of the bus, with UUIDs ("" where unknown)."""
    if fake := fake_gpus():
        return dict.fromkeys(fake, "")
    uuids = []
    for card in sorted(DRIVER.glob("*/information")):
        with suppress(OSError):
            facts = dict(re.findall(r"^(.+?):\s*(.+?)\s*$", card.read_text(), re.M))
            # A container sees the facts of all cards, but the device files of its own only.
            if os.access(f"/dev/nvidia{facts.get('Device Minor')}", os.R_OK | os.W_OK):
                uuids.append(facts.get("GPU UUID", ""))
    if not uuids and shutil.which("nvidia-smi"):  # WSL has no such files
        with suppress(OSError, subprocess.SubprocessError):
            listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
            uuids = re.findall(r"^GPU \d+: .*\(UUID: (GPU-[^)]+)\)", listed, re.M)
    return {str(number): uuid for number, uuid in enumerate(uuids)}


def _acquire(number: int, gpus: Sequence[str], prefix: str) -> dict[str, int]:
    """Lock the files of `number` of the GPUs; the locked descriptor of each GPU."""
    folder = _lease_folder()
    told = False
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
        # All or none: two jobs that each held one of the two GPUs that both need would wait forever.
        _release(leases.values())
        if not told:
            log.info("waiting for %d of the GPUs %s: other jobs have leased the rest", number, ", ".join(gpus))
            told = True
        time.sleep(random.uniform(0.3, 0.9))


def _locked(path: Path) -> int | None:
    """Lock a file that every account of the machine may lock.

    Not with the package filelock: 4.3 refuses another account's file in a folder such as /tmp.

    A lock file must not be removed while it is locked: the next job would lock a new one.

    Returns:
        The descriptor, which holds the lock until it is unlocked, or this process and all its forks have ended; None
        while another one has it.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    while True:
        descriptor, locked = _opened(path), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A cleaner of /tmp may have removed the file since it was opened; the next job would lock a new one.
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
    """Open a lock file; make it, open to all accounts, if there is none."""
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
        with suppress(OSError):  # a server of locks that is gone meanwhile: the work is done, and must not fail by it
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a forked process has a copy
        os.close(descriptor)


@contextmanager
def _for_all_accounts() -> Iterator[None]:
    """What is made has its full mode from the start: another account must never find it with a narrower one."""
    previous = os.umask(0)
    try:
        yield
    finally:
        os.umask(previous)


def _lease_folder() -> Path:
    """The folder of the lock files, which every user can add to."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, LEASES))
    try:
        with suppress(FileExistsError), _for_all_accounts():
            folder.mkdir(mode=0o1777)
        if folder.is_symlink() or not folder.is_dir():  # someone else may have put anything into /tmp
            raise NotADirectoryError(0, "it is no folder")
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
