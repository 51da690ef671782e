"""What surrounds every job: log, thread limits, errors as sentences, provenance."""

import getpass
import importlib.metadata
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from wsss_core.atomic import write_json
from wsss_core.errors import UserError

RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "h5py", "pydensecrf2", "pillow", "scipy", "wsss-core")


@contextmanager
def job(
    log_file: Path | str, threads: int, identity: Mapping[str, Any] | None = None, directory: Path | str | None = None
) -> Iterator[None]:
    """Run the body as a job of the workflow.

    Log lines go to ``log_file``, warnings and errors to the terminal too. A :class:`UserError`
    ends the process with its message alone. When the body succeeds, the artifact's
    ``provenance.json`` is brought up to date.

    Args:
        log_file: the job's log; its stem names the job in the provenance.
        threads: CPU cores the job may use; libraries imported in the body keep to it.
        identity: the artifact's identity (``Artifact.identity``), if the job makes one.
        directory: the artifact's directory, with ``identity``.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    _set_up_log(Path(log_file))
    start = time.monotonic()
    try:
        yield
    except UserError as error:
        logging.getLogger("wsss_core").error("%s", error)
        sys.exit(1)
    except Exception:
        logging.getLogger("wsss_core").exception("This is a fault of the program, not of your data:")
        sys.exit(1)
    seconds = time.monotonic() - start
    logging.getLogger("wsss_core").info("done in %.1f s", seconds)
    if identity is not None and directory is not None:
        _record(Path(directory), identity, Path(log_file).stem, seconds, threads)


def _set_up_log(log_file: Path) -> None:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(log_file, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers = [file, terminal]
    root.setLevel(logging.INFO)


def _record(directory: Path, identity: Mapping[str, Any], name: str, seconds: float, threads: int) -> None:
    """Add this job to the artifact's provenance (shards of one artifact finish side by side)."""
    path = directory / "provenance.json"
    with FileLock(directory / ".provenance.lock"):
        jobs = json.loads(path.read_text())["jobs"] if path.exists() else {}
        jobs[name] = {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(seconds, 2),
            "threads": threads,
            "device": _device_in_use(),
            "host": platform.node(),
            "user": _user(),
        }
        write_json(path, {**identity, "versions": _versions(), "jobs": jobs})


def _device_in_use() -> str:
    """The GPU's name if this job computed on one, else the processor's architecture."""
    torch = sys.modules.get("torch")  # not imported here: many jobs do without
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return f"CPU ({platform.machine()})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
