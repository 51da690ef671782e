import errno
import os

import pytest

from wsss_core.errors import UserError, disk_full, full_disk_explained, lacks_shared_memory


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("in_words", [False, True])
def test_a_full_disk_is_reported_by_the_file(number, in_words):
    error = ValueError(f"I/O error: {os.strerror(number)} (os error {number})") if in_words else OSError(number, "")
    reported = pytest.raises(UserError, match=r"^a\.txt: cannot be written, as .*; .* and run the same command again")
    with reported, full_disk_explained("a.txt"):
        raise error


@pytest.mark.parametrize(
    "said",
    [
        "unable to allocate shared memory(shm) for file </torch_17_29_0>: No space left on device (28)",
        "unable to write to file </torch_17_29_0>: No space left on device (28)",
        "Error while creating shared memory segment /dev/shm/nccl-aB (size 9637888): No space left on device",
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit.",
    ],
)
def test_full_shared_memory_is_no_full_disk(said):
    assert lacks_shared_memory(RuntimeError(said)) and disk_full(RuntimeError(said)) is None


def test_results_in_shared_memory_fill_a_disk():
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/dev/shm/results/a.csv")
    assert "disk is full" in disk_full(error) and not lacks_shared_memory(error)
