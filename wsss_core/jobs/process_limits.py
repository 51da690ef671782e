"""What a machine lacks for several processes (shared memory, open files, processes), in a sentence."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

from wsss_core.errors import UserError, lacks_shared_memory, shared_memory_in_words

_OPEN_FILES = "more files are open than are allowed; raise 'ulimit -n'"
_PROCESSES = (
    "no more processes are allowed, or there is no memory for them; raise 'ulimit -u', or the container's limits"
)
_TEMPORARY_FOLDER = "the path of $TMPDIR is too long for sockets in it; set one of less than 70 letters"
_WITHOUT_A_FILE = {
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
    errno.EAGAIN: _PROCESSES,
    errno.ENOMEM: _PROCESSES,
}
_IN_WORDS = {
    "Too many open files": _OPEN_FILES,
    "ancdata": _OPEN_FILES,
    "can't start new thread": _PROCESSES,
    "AF_UNIX path too long": _TEMPORARY_FOLDER,
}
_LOCKS_IN_SHARED_MEMORY = (errno.ENOSPC, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSYS)


def lacking_in_words(error: BaseException, starting: bool = False) -> str | None:
    """What the machine lacks, and what helps; None if an error has another reason.

    Args:
        error: an error of work in several processes.
        starting: whether it came while processes were started. They then make locks in shared memory, but no files.
    """
    if lacks_shared_memory(error):
        return shared_memory_in_words()
    if isinstance(error, OSError) and error.filename is None:
        if starting and error.errno in _LOCKS_IN_SHARED_MEMORY:
            return shared_memory_in_words()
        if error.errno in _WITHOUT_A_FILE:
            return _WITHOUT_A_FILE[error.errno]
    if isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno is None):
        return next((lacking for words, lacking in _IN_WORDS.items() if words in str(error)), None)
    return None


@contextmanager
def starting_processes(advice: str) -> Iterator[None]:
    """Start processes in the body: all of them, or none.

    Args:
        advice: what helps besides more of what is lacking; it follows "or".

    Raises:
        UserError: the machine lacks something for them.
    """
    others = active_children()
    try:
        yield
    except (OSError, RuntimeError) as error:
        kill([child for child in active_children() if child not in others])
        lacking = lacking_in_words(error, starting=True)
        if lacking is None:
            raise
        raise UserError(f"processes cannot be started: {lacking}, or {advice} ({error})") from error


def kill(processes: Sequence[BaseProcess]) -> None:
    """Kill processes that this one started."""
    for process in processes:
        process.kill()
