"""Parts that take no time, for the tests of what is made of them."""

import os
import signal
import time

from benchmarks.gpu_check.findings import Row
from benchmarks.gpu_check.given import tried


def good(given):
    yield Row("maps", {"images/s": 2.0, "GiB": None})
    yield Row("labels", skipped="no pydensecrf")


def wrong(given):
    yield Row("near", {"deviation": 0.1})
    yield Row("far", {"deviation": 7.0}, "it deviates | by 7")
    yield tried("broken", lambda: 1 / 0)
    yield Row("after", {"deviation": 0.2})


def raising(given):
    yield Row("first")
    raise RuntimeError("on purpose")


def killed(given):
    yield Row("first")
    os.kill(os.getpid(), signal.SIGKILL)


def endless(given):
    yield Row("first")
    time.sleep(600)
