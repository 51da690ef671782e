import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from wsss_core.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(50_000_000 // 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library is another one")
def test_freed_memory_is_used_again():
    def faults(argument: str) -> int:
        command = [sys.executable, "-c", FAULTS, argument]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep") < 1000 < faults("give back")
