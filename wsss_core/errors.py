"""The error that a user sees as a sentence, without a traceback."""

import errno
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)
_NO_SPACE = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_NO_SPACE_IN_WORDS = {"No space left on device": errno.ENOSPC, "quota exceeded": errno.EDQUOT}


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
def full_disk_told(path: Path | str) -> Iterator[None]:
    """Turn any error of the body that comes from a full disk into a sentence that names ``path``.

    Raises:
        UserError: the disk was full, or the quota used up.
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
            f"{path}: cannot be written, as {reason}; make space and run the same command again (what is "
            "finished is kept)"
        ) from error


def disk_full(error: BaseException | None) -> str | None:
    """What an error says of a full disk; None if it has another reason.

    Libraries that write files by themselves tell of it each in their own way: with Python's error
    behind their own (torch), or in words alone (safetensors).
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return _NO_SPACE[error.errno]
        for words, number in _NO_SPACE_IN_WORDS.items():
            if words in str(error):
                return _NO_SPACE[number]
        error = error.__cause__ or error.__context__
    return None
