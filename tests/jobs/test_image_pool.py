import errno
import os
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from wsss_core.errors import UserError
from wsss_core.jobs import image_pool
from wsss_core.jobs.image_pool import ImagePool, processes_to_decode

IMAGE_IDS = ["a", "b", "c", "d", "e"]


def square(number: int) -> int:
    return number * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise UserError("image d: is damaged")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


@pytest.mark.parametrize("threads", [1, 2])
def test_results_by_position_also_with_gaps(threads):
    with ImagePool(square, lambda position: (position,), IMAGE_IDS, threads) as pool:
        assert [pool(position) for position in (0, 3, 4)] == [0, 9, 16]


def test_an_error_of_the_function_reaches_the_caller():
    with ImagePool(fail_at_three, lambda position: (position,), IMAGE_IDS, 2) as pool:
        assert [pool(position) for position in range(3)] == [0, 1, 2]
        with pytest.raises(UserError, match="image d: is damaged"):
            pool(3)


def test_an_error_in_reading_an_image_is_raised_at_that_image():
    def arguments(position: int) -> tuple[int]:
        return (fail_at_three(position),)

    with ImagePool(square, arguments, IMAGE_IDS, 2) as pool:
        assert [pool(position) for position in range(3)] == [0, 1, 4]
        with pytest.raises(UserError, match="image d: is damaged"):
            pool(3)


def test_a_dead_worker_is_reported_with_its_image():
    with ImagePool(die_at_three, lambda position: (position,), IMAGE_IDS, 2) as pool:
        assert [pool(position) for position in range(3)] == [0, 1, 2]
        with pytest.raises(UserError, match="image d: the process that worked on it died"):
            pool(3)
        assert pool(4) == 4


def test_workers_do_not_run_an_unguarded_script_again(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent("""
        from tests.jobs.test_image_pool import square
        from wsss_core.jobs.image_pool import ImagePool, processes_to_decode

        print("job starts")
        with ImagePool(square, lambda position: (position,), ["a", "b"], 2) as pool:
            print(pool(0), pool(1))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout.split("\n") == ["job starts", "0 1", ""], result.stderr


def test_few_images_are_decoded_in_one_process():
    assert [processes_to_decode(images, 4) for images in (0, 1, 1999, 2000, 100_000)] == [1, 1, 1, 2, 4]


def wait(seconds: float) -> None:
    print(os.getpid(), flush=True)
    time.sleep(seconds)


def test_processes_end_with_one_that_is_killed():
    code = (
        "from tests.jobs.test_image_pool import ImagePool, wait\n"
        "with ImagePool(wait, lambda position: (600,), ['a', 'b'], 2) as pool: pool(0)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as job:
        workers = [psutil.Process(int(job.stdout.readline())) for _ in range(2)]
        job.kill()
        _, alive = psutil.wait_procs(workers, timeout=15)
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("number", "lacking"),
    [
        (errno.ENOSPC, "there is too little shared memory"),
        (errno.EMFILE, "raise 'ulimit -n'"),
        (errno.EAGAIN, "raise 'ulimit -u'"),
    ],
)
def test_what_the_machine_lacks_for_processes_is_reported(monkeypatch, number, lacking):
    def refused(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(image_pool, "ProcessPoolExecutor", refused)
    reported = pytest.raises(UserError, match=f"processes cannot be started: .*{lacking}.*'threads'")
    with ImagePool(square, lambda position: (position,), IMAGE_IDS, 2) as pool, reported:
        pool(0)
