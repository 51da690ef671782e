"""The error that a user sees as a sentence, without a traceback."""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SHARED_MEMORY = "/dev/shm"
log = logging.getLogger(__name__)
_NO_SPACE = {
    errno.ENOSPC: "the disk is full; make space",
    errno.EDQUOT: "the disk quota is used up; make space",
    errno.EFBIG: "it is larger than a file may be here; raise that limit ('ulimit -f', or the file system's)",
}
_NO_SPACE_IN_WORDS = {
    "No space left on device": errno.ENOSPC,
    "quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
_SHARED_MEMORY_IN_WORDS = ("</torch_", "/dev/shm", "workers are out of shared memory")
"""Torch's names of its files there, NCCL's, and torch's guess at why a process was killed by SIGBUS."""


class UserError(Exception):
    """Something the user can put right: a config value, a file, an image.

    The message names the file, image id or config key, says what is wrong and what would be
    right. Jobs print the message alone; a traceback is kept for faults of the program itself.
    """


@contextmanager
def images_named(image_ids: Sequence[str]) -> Iterator[None]:
    """Let the log say at which images a fault of the body happened; a :class:`UserError` says so itself."""
    try:
        yield
    except UserError:
        raise
    except Exception:
        log.error("while working on image %s:", ", ".join(image_ids))
        raise


@contextmanager
def full_disk_explained(path: Path | str) -> Iterator[None]:
    """Turn any error of the body that comes from a full disk into a sentence that names ``path``.

    Raises:
        UserError: the disk was full, the quota used up, or the file larger than a limit.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = disk_full(error)
        if reason is None:
            raise
        raise UserError(
            f"{path}: cannot be written, as {reason} and run the same command again (what is finished is kept)"
        ) from error


def disk_full(error: BaseException | None) -> str | None:
    """What an error says of a full disk, and what helps; None if it has another reason.

    Libraries that write files by themselves report it each in their own way: with Python's error
    behind their own (torch), or in words alone (safetensors). A full /dev/shm is no full disk.
    """
    if lacks_shared_memory(error):
        return None
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return _NO_SPACE[cause.errno]
        for words, number in _NO_SPACE_IN_WORDS.items():
            if words in str(cause):
                return _NO_SPACE[number]
    return None


def lacks_shared_memory(error: BaseException | None) -> bool:
    """Whether an error of torch or NCCL says that shared memory is full, or cannot be used."""
    messages = [str(cause) for cause in _chain(error) if isinstance(cause, RuntimeError)]
    return any(words in text for text in messages for words in _SHARED_MEMORY_IN_WORDS)


def shared_memory_in_words() -> str:
    """What is wrong where there is too little shared memory, and what helps."""
    try:
        status = os.statvfs(SHARED_MEMORY)
        size = f"has {status.f_blocks * status.f_frsize / 2**20:.4g} MiB"
    except OSError as error:
        size = f"cannot be used: {error.strerror}"
    return (
        f"there is too little shared memory ({SHARED_MEMORY} {size}); give the container more "
        "('docker run --shm-size=8g')"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
