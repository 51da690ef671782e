import errno
import os

import pytest

from wsss_core.jobs.process_limits import lacking_in_words


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (RuntimeError("unable to open shared memory object </torch_1_2_3> in read-write mode"), "--shm-size"),
        (RuntimeError("received 0 items of ancdata"), "'ulimit -n'"),
        (RuntimeError("can't start new thread"), "'ulimit -u'"),
        (OSError("AF_UNIX path too long"), "$TMPDIR"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "'ulimit -n'"),
    ],
)
def test_what_is_lacking_is_named(error, lacking):
    assert lacking in lacking_in_words(error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOENT, errno.EACCES])
def test_only_when_processes_are_started_a_file_that_has_no_name_is_a_lock(number):
    error = OSError(number, os.strerror(number))
    assert lacking_in_words(error) is None and "/dev/shm" in lacking_in_words(error, starting=True)
    assert lacking_in_words(OSError(number, "", "data.csv"), starting=True) is None


def test_other_errors_are_not_the_machines():
    assert lacking_in_words(ValueError("shape")) is None and lacking_in_words(RuntimeError("CUDA error")) is None
