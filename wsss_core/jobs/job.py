"""What every job needs: log, thread limits, GPUs, errors as sentences, provenance."""

import getpass
import importlib.metadata
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss_core.errors import UserError, disk_full, full_disk_explained
from wsss_core.files.provenance import PROVENANCE, record_job
from wsss_core.files.signals import end_at_signals, ignore_signals, kill_worker_processes, signals_deferred
from wsss_core.jobs.gpu_lease import leased_gpus
from wsss_core.jobs.gpu_memory import full_memory_explained, let_memory_grow
from wsss_core.jobs.measured import forget_figures, recorded_figures
from wsss_core.jobs.process_limits import lacking_in_words
from wsss_core.jobs.run import PLACE, Run

if TYPE_CHECKING:
    from wsss_core.config.runtime import Runtime

RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "h5py", "pydensecrf2", "pillow", "scipy", "wsss-core")
WITHOUT_ORDER = "does not have a deterministic implementation"
"""Torch's words about an operation, such as an extension's, that ``runtime.deterministic`` does not allow."""
log = logging.getLogger("wsss_core")


@dataclass(frozen=True)
class Job:
    """What a script knows about its job, from Snakemake's object."""

    snakemake: Any
    """The object that Snakemake gives to scripts."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The identity of the artifact that the job makes or scores; empty if there is none.

        Upstream artifacts are named by their path within the results folder (``<dataset>/<stage>/<name>``), so that
        files that record it have the same bytes however that folder is spelled.
        """
        identity = self.snakemake.params.get("identity")
        if not identity:
            return {}
        places = {role: "/".join(Path(folder).parts[-3:]) for role, folder in identity["upstream"].items()}
        return {**identity, "upstream": places}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The artifact's parameters."""
        return self.identity["parameters"]

    @property
    def runtime(self) -> "Runtime":
        """The configuration's ``runtime``."""
        from wsss_core.config.runtime import Runtime  # here, because the limits on threads must be set first

        return Runtime(**self.snakemake.config.get("runtime", {}))

    def run(self, *, but: Sequence[str] = ()) -> Run:
        """How the work runs.

        Args:
            but: inputs that the result does not depend on.
        """
        left_out = [self.snakemake.input.get(role) for role in but]
        inputs = [file for file in self.snakemake.input if file not in left_out]
        runtime = self.runtime
        return Run(
            inputs,
            runtime.device,
            self.snakemake.threads,
            runtime.workers,
            tensorboard=runtime.tensorboard,
            deterministic=runtime.deterministic,
            recompute=getattr(self.snakemake, "rule", None) in runtime.recompute,
            provenance=self.identity,
        )

    def directory(self) -> Path | None:
        """The artifact's directory, if the job makes one: its name ends in the digest."""
        digest = self.identity.get("digest")
        parents = Path(self.snakemake.output[0]).parents if digest else ()
        return next(parent for parent in parents if parent.name.endswith(digest)) if digest else None


@contextmanager
def job(snakemake: Any) -> Iterator[Job]:
    """Run the body of a script as a job of the workflow; see :func:`in_job`.

    Args:
        snakemake: the object that Snakemake gives to scripts.

    Yields:
        The job, for the script.
    """
    work = Job(snakemake)
    gpus = snakemake.resources.get("gpu", 0)
    with in_job(snakemake.log[0], snakemake.threads, work.identity or None, work.directory(), gpus):
        yield work


@contextmanager
def in_job(
    log_file: Path | str,
    threads: int,
    identity: Mapping[str, Any] | None = None,
    directory: Path | str | None = None,
    gpus: int = 0,
) -> Iterator[None]:
    """Run the body as a job of the workflow.

    Log lines go to ``log_file``, warnings and errors also to the terminal. A :class:`UserError` ends the process with
    only its message. SIGTERM and SIGINT also end it, so that a later run can continue. When the body succeeds, the
    artifact's ``provenance.json`` is updated.

    With more than one GPU the body is a training, and runs in one process per GPU.

    Args:
        log_file: the job's log, in a folder named by the rule; its stem names the job in the provenance.
        threads: CPU cores that the job, and libraries imported in the body, may use.
        identity: the artifact's identity (``Artifact.identity``), if the job makes one.
        directory: the artifact's directory, with ``identity``.
        gpus: GPUs that the job asks for. On a workstation it waits until it has leased them; if there are none, the
            body runs without.
    """
    if PLACE in os.environ:
        from wsss_core.jobs.processes import joined_training

        with joined_training(Path(log_file)), full_memory_explained(Path(log_file).parent.name):
            yield
        return
    _set_up_terminal()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(max(1, threads // max(1, gpus)))
    # Large tensors on large pages: the kernel's work for small pages was a third of AdvCAM's processor time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    let_memory_grow()
    end_at_signals()
    forget_figures()
    start = time.monotonic()
    try:
        with signals_deferred():  # until there is a log to report them in
            _set_up_log(Path(log_file))
        with leased_gpus(gpus), _processes(gpus), full_memory_explained(Path(log_file).parent.name):
            yield
            ignore_signals()
        seconds = time.monotonic() - start
        if identity is not None and directory is not None:
            _record(Path(directory), identity, Path(log_file).stem, seconds, threads)
    except UserError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception as error:
        _log_failure(error)
        sys.exit(1)
    finally:
        kill_worker_processes()
    log.info("done in %.1f s", seconds)


def _log_failure(error: Exception) -> None:
    """Log, in a sentence, what the machine lacks; or else the traceback. Call this while the error is handled."""
    if reason := disk_full(error):
        log.error("%s and run the same command again (%s)", reason, error)
    elif lacking := lacking_in_words(error):
        log.error("%s (%s)", lacking, error)
    elif WITHOUT_ORDER in str(error):
        log.error("a GPU cannot compute this in a fixed order: set 'runtime: {deterministic: false}' (%s)", error)
    else:
        log.exception("This is a fault of the program, not of your data:")


@contextmanager
def _processes(gpus: int) -> Iterator[None]:
    if gpus > 1:
        from wsss_core.jobs.processes import training_processes

        with training_processes(gpus):
            yield
    else:
        yield


def _set_up_terminal() -> None:
    logging.raiseExceptions = False  # if the disk is too full for the log, do not fill the terminal
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers = [terminal]
    root.setLevel(logging.INFO)


def _set_up_log(log_file: Path) -> None:
    with full_disk_explained(log_file):
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.write_bytes(b"")
        file = logging.FileHandler(log_file, mode="a", encoding="utf-8")  # a training's other processes write there too
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(file)


def _record(directory: Path, identity: Mapping[str, Any], name: str, seconds: float, threads: int) -> None:
    """Add this job to the artifact's provenance; its work is done, and stays even if this fails."""
    try:
        entry = {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(seconds, 2),
            "threads": threads,
            **recorded_figures(),
            "device": _device_in_use(),
            "host": platform.node(),
            "user": _user(),
        }
        record_job(directory, {**identity, "versions": _versions()}, name, entry)
    except Exception as error:  # any: a job that failed here would lose its work
        log.warning("%s lacks this job, whose work is done: %s", directory / PROVENANCE, error)


def _device_in_use() -> str:
    """The GPU's name if this job computed on one, else the processor's architecture."""
    torch = sys.modules.get("torch")  # not imported here: many jobs do not need it
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
